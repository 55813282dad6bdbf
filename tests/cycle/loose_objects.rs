//! Deltas that lie below their prefix file by file, and the prefix that is the beginning of
//! another.

use chroma_store::{CloseOptions, ClosedStore};
use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::world::{Kind, World};

both!(delta_of_loose_objects_is_merged);
fn delta_of_loose_objects_is_merged(world: World) {
    let (loose, packed) = (Delta::of("lines", "l", 3), Delta::of("lines", "p", 2));
    let store = loose.write(&world, &world.folder("loose"));
    world.upload_loose(&world.prefix("run-l", "lines"), &store);
    world.announce("run-l", "lines");
    world.submit("run-p", &[&packed]);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (2, 1));
    assert_eq!(world.content("lines"), content_of([&loose, &packed]));
    assert_eq!(world.part("run-l", "lines").merged_vectors, 3);
}

both!(loose_delta_with_files_in_subfolders_is_merged);
fn loose_delta_with_files_in_subfolders_is_merged(world: World) {
    let delta = Delta::of("lines", "l", 3);
    let folder = world.folder("loose");
    let dir = delta.write(&world, &folder).dir().to_path_buf();
    std::fs::create_dir_all(dir.join("some/where")).unwrap();
    std::fs::write(dir.join("some/where/else.txt"), "x").unwrap();
    let store = ClosedStore::prove(&dir, &CloseOptions::default()).unwrap();
    world.upload_loose(&world.prefix("run-l", "lines"), &store);
    world.announce("run-l", "lines");
    world.drain();
    assert_eq!(world.content("lines"), delta.content());
}

both!(delta_prefix_does_not_match_longer_sibling_prefixes);
fn delta_prefix_does_not_match_longer_sibling_prefixes(world: World) {
    let mut deltas = Vec::new();
    for run in ["abc", "abcd", "ab"] {
        let delta = Delta::of("lines", run, 2);
        let store = delta.write(&world, &world.folder(run));
        world.upload_loose(&format!("lines/delta/{run}/"), &store);
        deltas.push(delta);
    }
    // As older writers announce it, without the slash at the end.
    world.announce_at("abc", "lines", "lines/delta/abc");
    world.drain();
    assert_eq!(world.content("lines"), deltas[0].content());
    world.announce_at("abcd", "lines", "/lines/delta/abcd");
    world.announce_at("ab", "lines", "lines/delta/ab/");
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
    for run in ["abc", "abcd", "ab"] {
        assert_eq!(world.part(run, "lines").merged_vectors, 2, "{run}");
    }
}

both!(delta_is_missing_if_its_prefix_only_begins_another);
fn delta_is_missing_if_its_prefix_only_begins_another(world: World) {
    world.expects(&["CC-DELTA-MISSING"]);
    let store = Delta::of("lines", "l", 2).write(&world, &world.folder("abcd"));
    world.upload_loose("lines/delta/abcd/", &store);
    world.announce_at("abc", "lines", "lines/delta/abc");
    world.drain();
    assert_eq!(world.state("abc", "lines"), RunState::Failed);
    assert_eq!(world.code("abc", "lines"), "CC-DELTA-MISSING");
    assert!(world.snapshot("lines").is_none());
}

/// Only an object store can have a key that ends in a slash; a file system cannot.
#[test]
fn loose_delta_ignores_folder_marker_objects() {
    let world = World::new(Kind::Fakes);
    let delta = Delta::of("lines", "l", 2);
    let store = delta.write(&world, &world.folder("loose"));
    world.upload_loose("lines/delta/run-l/", &store);
    world.put("lines/delta/run-l/", "");
    world.put("lines/delta/run-l/folder/", "");
    world.announce("run-l", "lines");
    world.drain();
    assert_eq!(world.content("lines"), delta.content());
}

#[test]
fn loose_object_key_that_leaves_its_prefix_is_refused() {
    for evil in ["../escape", "a/../../escape", "/escape", "a//b"] {
        let world = World::new(Kind::Fakes);
        world.expects(&["CC-OBJECT-NAME"]);
        let store = Delta::of("lines", "l", 2).write(&world, &world.folder("loose"));
        world.upload_loose("lines/delta/run-l/", &store);
        world.put(&format!("lines/delta/run-l/{evil}"), "x");
        world.announce("run-l", "lines");
        world.drain();
        assert_eq!(world.code("run-l", "lines"), "CC-OBJECT-NAME", "{evil}");
        assert!(world.snapshot("lines").is_none());
    }
}
