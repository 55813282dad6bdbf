//! Files that a cycle did not change are copied inside the store, not sent again.

use chroma_store::FoldWhen;
use compactor_core::keys;

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::world::{World, name};

both!(unchanged_files_are_copied_from_the_version_before);
fn unchanged_files_are_copied_from_the_version_before(world: World) {
    let (a, b) = (Delta::of("lines", "a", 30), Delta::of("lines", "b", 2));
    let world = world.with(|settings| settings.merge.fold.when = FoldWhen::Always);
    world.submit("run-a", &[&a]);
    assert_eq!(world.drain().published, 1);
    let first = world.snapshot("lines").unwrap().manifest;
    let world = world.with(|settings| settings.merge.fold.when = FoldWhen::Never);
    world.submit("run-b", &[&b]);
    assert_eq!(world.drain().published, 1);
    let snapshot = world.snapshot("lines").unwrap();
    let expected = in_thousandths(content_of([&a, &b]));
    assert!(in_thousandths(snapshot.content) == expected);

    let second = snapshot.manifest;
    assert_eq!(second.files.len(), 6, "the database and the index files");
    for file in &second.files {
        let key = keys::file(&name("lines"), &second.version, &file.path);
        let object = world
            .wait(world.objects().get(&key, 1 << 20))
            .unwrap()
            .unwrap();
        // A copy is the same object, metadata included.
        let is_copy = object.metadata["nonce"] == first.nonce.to_string();
        assert_eq!(is_copy, file.path != "chroma.sqlite3", "{}", file.path);
    }
}
