//! A pointer that is gone: no new lineage begins in its place, and a command puts it back.

use std::sync::Arc;

use compactor_core::{RunState, Version, keys};
use compactor_snapshots::Error;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{World, lineage};

fn publish(world: &World, runs: &[&str]) -> Vec<Delta> {
    let publish = |run: &&str| {
        let delta = Delta::of("lines", run, 2);
        world.submit(run, &[&delta]);
        world.drain();
        delta
    };
    runs.iter().map(publish).collect()
}

fn lose(world: &World) -> String {
    world.delete(&keys::pointer(&lineage("lines")));
    world.uploads("lines").pop().unwrap()
}

/// A drain that finds no pointer.
fn refused(world: &World, newest: &str) {
    world.expects(&["CC-POINTER-GONE"]);
    let uploads = world.uploads("lines");
    let error = world.try_drain().unwrap_err();
    assert_eq!(error.code(), "CC-POINTER-GONE");
    assert!(error.to_string().contains(newest), "{error}");
    assert_eq!(world.uploads("lines"), uploads, "no new lineage begins");
    assert_eq!(world.pointer("lines"), None);
    assert_eq!(world.depth().dead, 0);
}

fn put_back(world: &World, version: &str) -> Result<(), Error> {
    let version = version.parse().unwrap();
    let nonce = world.ports.ids.uuid();
    let repository = world.repository();
    world.wait(repository.point(&lineage("lines"), &version, None, nonce))
}

both!(lost_pointer_is_refused_and_put_back_by_point, in real time);
fn lost_pointer_is_refused_and_put_back_by_point(world: World) {
    for runs in [&["run-a"][..], &["run-b", "run-c"]] {
        let mut deltas = publish(&world, runs);
        let newest = lose(&world);
        let run = format!("late-{newest}");
        let late = Delta::of("lines", "late", 1);
        world.submit(&run, &[&late]);
        refused(&world, &newest);
        put_back(&world, &newest).unwrap();
        world.drain();
        assert_eq!(world.state(&run, "lines"), RunState::Completed);
        deltas.push(late);
        for delta in &deltas {
            let ids = delta.content().into_keys();
            let content = world.content("lines");
            assert!(ids.into_iter().all(|id| content.contains_key(&id)));
        }
    }
}

both!(first_upload_left_by_crash_does_not_count_as_lost_pointer);
fn first_upload_left_by_crash_does_not_count_as_lost_pointer(world: World) {
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    world
        .drain_with(Script::kill_at(Step::Uploaded))
        .unwrap_err();
    assert_eq!(world.uploads("lines").len(), 1);
    world.let_everything_expire();
    world.drain();
    assert_eq!(world.content("lines"), delta.content());
}

both!(pointer_that_vanishes_before_swap_is_reported_gone, in real time);
fn pointer_that_vanishes_before_swap_is_reported_gone(world: World) {
    let mut deltas = publish(&world, &["run-a", "run-b"]);
    let before = world.pointer("lines").unwrap();
    deltas.push(Delta::of("lines", "run-c", 2));
    world.submit("run-c", &[&deltas[2]]);
    world.expects(&["CC-POINTER-GONE"]);
    let world = Arc::new(world);
    let taken = Arc::clone(&world);
    let hooks = Script::at(Step::Uploaded, move || {
        crate::process::elsewhere(|| taken.delete(&keys::pointer(&lineage("lines"))));
    });
    let error = world.drain_with(hooks).unwrap_err();
    assert_eq!(error.code(), "CC-POINTER-GONE");
    put_back(&world, &before).unwrap();
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
}

both!(pointer_that_names_no_version_is_repaired_by_point, in real time);
fn pointer_that_names_no_version_is_repaired_by_point(world: World) {
    let deltas = publish(&world, &["run-a", "run-b"]);
    let (key, version) = (
        keys::pointer(&lineage("lines")),
        world.pointer("lines").unwrap(),
    );
    world.expects(&["CC-POINTER", "CC-MANIFEST-MISSING"]);
    let others = [
        Vec::new(),
        b"\xef\xbb\xbfhello".to_vec(),
        b"\xff\xfe2\x000\x00".to_vec(),
        b"20200101_000000_000000_00000000".to_vec(),
        vec![b'x'; 1 << 19],
    ];
    for (at, body) in others.into_iter().enumerate() {
        let run = format!("run-{at}");
        world.put(&key, body);
        world.submit(&run, &[&Delta::of("lines", &run, 1)]);
        assert!(world.try_drain().is_err(), "{at}");
        assert_eq!(world.state(&run, "lines"), RunState::Pending, "{at}");
        let newest = world.uploads("lines").pop().unwrap();
        put_back(&world, &newest).unwrap();
        world.drain();
        assert_eq!(world.state(&run, "lines"), RunState::Completed, "{at}");
    }
    let content = world.content("lines");
    assert_eq!(content.len(), content_of(&deltas).len() + 5);
    // A pointer that is in use stays as it is.
    let error = put_back(&world, &version).unwrap_err();
    assert_eq!(error.code(), "CC-POINTER-IN-USE");
    let missing = put_back(&world, "20200101_000000_000000_00000000").unwrap_err();
    assert_eq!(missing.code(), "CC-VERSION-MISSING");
    world.delete(&key);
    let missing = put_back(&world, "20200101_000000_000000_00000000").unwrap_err();
    assert_eq!(missing.code(), "CC-VERSION-MISSING");
}

both!(incomplete_version_is_refused_by_point_and_blocks_no_other, in real time);
fn incomplete_version_is_refused_by_point_and_blocks_no_other(world: World) {
    publish(&world, &["run-a", "run-b"]);
    let older = world.uploads("lines").remove(0);
    let newest = lose(&world);
    let cut: Version = newest.parse().unwrap();
    // Runs that only this version had are recorded as lost.
    world.expects(&["CC-OVERWRITTEN"]);
    world.delete(&keys::file(&lineage("lines"), &cut, "chroma.sqlite3"));
    world.submit("late", &[&Delta::of("lines", "late", 1)]);
    refused(&world, &older);
    let error = put_back(&world, &newest).unwrap_err();
    assert_eq!(error.code(), "CC-SNAPSHOT-FILE");
    // `point` replaces a pointer that was put on this version by hand.
    world.put(&keys::pointer(&lineage("lines")), newest);
    put_back(&world, &older).unwrap();
    world.drain();
    assert_eq!(world.state("late", "lines"), RunState::Completed);
}

both!(unreadable_manifest_counts_as_published_version, in real time);
fn unreadable_manifest_counts_as_published_version(world: World) {
    let version = "20261121_000212_517191_74bfc63c".parse().unwrap();
    world.put(&keys::manifest(&lineage("lines"), &version), b"{".to_vec());
    world.submit("late", &[&Delta::of("lines", "late", 1)]);
    refused(&world, "no complete version");
}
