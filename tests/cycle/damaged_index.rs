//! Index files that are damaged while their vectors can still be read: mended on the way.

use std::path::Path;

use compactor_daemon::cycle::Step;

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

/// Cuts every such file below `folder` in half; how many there were.
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

both!(a_damaged_graph_is_built_anew_before_it_is_published);
fn a_damaged_graph_is_built_anew_before_it_is_published(world: World) {
    world.expects(&["index files are built anew"]);
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
