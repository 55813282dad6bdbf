//! Index files that are damaged while their vectors can still be read, and full text that is damaged
//! while the documents can: a cycle rebuilds both before it publishes them.

use std::path::Path;

use compactor_snapshots::Step;

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

/// Cuts every file called `name` below `folder` in half, and returns how many there were.
fn cut(folder: &Path, name: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += cut(&path, name);
        } else if path.ends_with(name) {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            count += 1;
        }
    }
    count
}

both!(damaged_graph_is_rebuilt_before_publishing);
fn damaged_graph_is_rebuilt_before_publishing(world: World) {
    world.expects(&["rebuilding index files or full text"]);
    let many = Delta::of("lines", "many", 1001);
    world.submit("run-a", &[&many]);
    let scratch = world.scratch();
    let hooks = Script::at(Step::Merged, move || {
        assert_eq!(cut(&scratch, "link_lists.bin"), 1);
    });
    world.drain_with(hooks).unwrap();
    let one = Delta::of("lines", "one", 1);
    world.submit("run-b", &[&one]);
    world.drain();
    assert_eq!(
        in_thousandths(world.content("lines")),
        in_thousandths(content_of(&[many, one]))
    );
}

/// Changes the full text of every database below `folder`, and returns how many there were.
fn change_full_text(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += change_full_text(&path);
        } else if path.ends_with("chroma.sqlite3") {
            let database = rusqlite::Connection::open(&path).unwrap();
            let sql = "UPDATE embedding_fulltext_search_content SET c0 = c0 || ' and more'";
            assert!(database.execute(sql, []).unwrap() > 0);
            count += 1;
        }
    }
    count
}

both!(damaged_full_text_is_rebuilt_before_publishing);
fn damaged_full_text_is_rebuilt_before_publishing(world: World) {
    world.expects(&["rebuilding index files or full text"]);
    let some = Delta::of("lines", "some", 3);
    world.submit("run-a", &[&some]);
    world.drain();
    world.submit("run-b", &[&Delta::of("lines", "more", 2)]);
    let scratch = world.scratch();
    let hooks = Script::at(Step::Merged, move || {
        assert!(change_full_text(&scratch) > 0);
    });
    world.drain_with(hooks).unwrap();
    // Reading verifies all of it.
    assert_eq!(world.content("lines").len(), 5);
}
