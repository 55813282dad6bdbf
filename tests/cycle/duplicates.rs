//! The queue delivers at least once: a message that comes twice is applied once and acknowledged
//! as often as it came.

use compactor_core::RunState;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

both!(run_announced_twice_in_one_batch_is_merged_once);
fn run_announced_twice_in_one_batch_is_merged_once(world: World) {
    let (a, b) = (Delta::of("lines", "a", 3), Delta::of("lines", "b", 2));
    world.submit("run-a", &[&a]);
    world.send("run-a", "lines");
    world.submit("run-b", &[&b]);
    world.send("run-a", "lines");
    let diary = Script::watch();
    let summary = world.drain_with(diary.clone()).unwrap();
    assert_eq!(
        (summary.completed, summary.failed, summary.published),
        (2, 0, 1)
    );
    assert_eq!(diary.count(Step::Received), 1);
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of([&a, &b]));
    assert_eq!(snapshot.lineage(), ["run-a", "run-b"]);
    let merged: Vec<_> = snapshot
        .manifest
        .runs
        .iter()
        .map(|run| run.merged)
        .collect();
    assert_eq!(merged, [3, 2]);
    assert_eq!(world.part("run-a", "lines").merged_vectors, 3);
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

both!(duplicate_message_of_completed_run_is_only_acknowledged);
fn duplicate_message_of_completed_run_is_only_acknowledged(world: World) {
    let (a, b) = (Delta::of("lines", "a", 3), Delta::of("lines", "b", 2));
    world.submit("run-a", &[&a]);
    world.drain();
    world.submit("run-b", &[&b]);
    world.drain();
    let (records, before) = (
        [world.part("run-a", "lines"), world.part("run-b", "lines")],
        world.image("lines/snapshot/"),
    );
    // A run of an older version and one of the newest.
    world.send("run-a", "lines");
    world.send("run-b", "lines");
    let summary = world.drain();
    assert_eq!((summary.failed, summary.published), (0, 0));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert_eq!(world.image("lines/snapshot/"), before);
    let now = [world.part("run-a", "lines"), world.part("run-b", "lines")];
    assert_eq!(now, records);
}

both!(duplicate_message_of_completed_run_needs_no_delta);
fn duplicate_message_of_completed_run_needs_no_delta(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 3)]);
    world.drain();
    world.delete("lines/delta/run-a/delta.tar.gz");
    world.send("run-a", "lines");
    let summary = world.drain();
    assert_eq!((summary.failed, summary.published), (0, 0));
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

both!(batch_of_completed_and_new_run_merges_only_new_run);
fn batch_of_completed_and_new_run_merges_only_new_run(world: World) {
    let (a, b) = (Delta::of("lines", "a", 3), Delta::of("lines", "b", 2));
    world.submit("run-a", &[&a]);
    world.drain();
    let first = world.pointer("lines").unwrap();
    world.send("run-a", "lines");
    world.submit("run-b", &[&b]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of([&a, &b]));
    assert_eq!(snapshot.lineage(), ["run-a", "run-b"]);
    assert_eq!(snapshot.manifest.runs.len(), 1);
    let part = world.part("run-a", "lines");
    assert_eq!(part.version.unwrap().to_string(), first);
    assert_eq!(part.merged_vectors, 3);
}
