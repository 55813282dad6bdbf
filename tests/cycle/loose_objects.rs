//! Deltas that lie below their prefix file by file, and the prefix that is the beginning of
//! another.

use chroma_store::{CloseOptions, ClosedStore};
use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::world::{Kind, World};

both!(a_delta_may_be_loose_objects);
fn a_delta_may_be_loose_objects(world: World) {
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

both!(files_in_folders_come_along);
fn files_in_folders_come_along(world: World) {
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

both!(a_prefix_does_not_take_in_its_siblings);
fn a_prefix_does_not_take_in_its_siblings(world: World) {
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

both!(a_prefix_that_is_only_the_beginning_of_another_is_missing);
fn a_prefix_that_is_only_the_beginning_of_another_is_missing(world: World) {
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
fn the_empty_object_that_stands_for_a_folder_is_no_file() {
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
fn a_key_that_leads_elsewhere_is_refused() {
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
