//! Merging the same thing again changes nothing, and an empty delta completes with zero records.

use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::world::World;

both!(second_run_of_one_delta_leaves_content_unchanged);
fn second_run_of_one_delta_leaves_content_unchanged(world: World) {
    let delta = Delta::of("lines", "a", 3);
    world.submit("run-1", &[&delta]);
    world.drain();
    let before = world.content("lines");
    world.submit("run-2", &[&delta]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, before);
    assert_eq!(snapshot.lineage(), ["run-1", "run-2"]);
    let run = &snapshot.manifest.runs[0];
    assert_eq!((run.added, run.updated, run.merged), (0, 3, 3));
    assert_eq!(world.part("run-2", "lines").merged_vectors, 3);
}

both!(two_runs_of_one_delta_in_one_batch_both_complete);
fn two_runs_of_one_delta_in_one_batch_both_complete(world: World) {
    let delta = Delta::of("lines", "a", 3);
    world.submit("run-1", &[&delta]);
    world.submit("run-2", &[&delta]);
    assert_eq!(world.drain().published, 1);
    assert_eq!(world.content("lines"), delta.content());
    for run in ["run-1", "run-2"] {
        assert_eq!(world.state(run, "lines"), RunState::Completed);
        assert_eq!(world.part(run, "lines").merged_vectors, 3, "{run}");
    }
}

both!(empty_delta_completes_with_zero_merged_vectors);
fn empty_delta_completes_with_zero_merged_vectors(world: World) {
    let (base, empty) = (Delta::of("lines", "a", 3), Delta::new("lines", Vec::new()));
    world.submit("run-base", &[&base]);
    world.drain();
    world.submit("run-empty", &[&empty]);
    assert_eq!(world.drain().failed, 0);
    assert_eq!(world.content("lines"), base.content());
    let part = world.part("run-empty", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 0));
    assert_eq!(world.snapshot("lines").unwrap().lineage().len(), 2);
}

both!(empty_delta_starts_collection);
fn empty_delta_starts_collection(world: World) {
    let (empty, next) = (Delta::new("lines", Vec::new()), Delta::of("lines", "a", 2));
    world.submit("run-empty", &[&empty]);
    world.drain();
    let first = world.snapshot("lines").unwrap();
    assert!(first.content.is_empty());
    assert_eq!(first.manifest.rows.dimension, None);
    assert_eq!(world.state("run-empty", "lines"), RunState::Completed);
    world.submit("run-next", &[&next]);
    world.drain();
    assert_eq!(world.content("lines"), content_of([&next]));
}
