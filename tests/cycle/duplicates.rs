//! The queue delivers at least once: a message that comes twice is applied once and acknowledged
//! as often as it came.

use compactor_core::RunState;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

both!(twice_in_one_batch_is_one_application);
fn twice_in_one_batch_is_one_application(world: World) {
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

both!(after_completion_it_is_only_acknowledged);
fn after_completion_it_is_only_acknowledged(world: World) {
    let (a, b) = (Delta::of("lines", "a", 3), Delta::of("lines", "b", 2));
    world.submit("run-a", &[&a]);
    world.drain();
    world.submit("run-b", &[&b]);
    world.drain();
    let (records, before) = (
        [world.part("run-a", "lines"), world.part("run-b", "lines")],
        world.image("lines/snapshot/"),
    );
    // Of the newest version and of an older one.
    world.send("run-a", "lines");
    world.send("run-b", "lines");
    let summary = world.drain();
    assert_eq!((summary.failed, summary.published), (0, 0));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert_eq!(world.image("lines/snapshot/"), before);
    let now = [world.part("run-a", "lines"), world.part("run-b", "lines")];
    assert_eq!(now, records);
}

both!(after_completion_not_even_the_delta_is_needed);
fn after_completion_not_even_the_delta_is_needed(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 3)]);
    world.drain();
    world.delete("lines/delta/run-a/delta.tar.gz");
    world.send("run-a", "lines");
    let summary = world.drain();
    assert_eq!((summary.failed, summary.published), (0, 0));
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

both!(beside_a_new_run_only_the_new_one_is_merged);
fn beside_a_new_run_only_the_new_one_is_merged(world: World) {
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
