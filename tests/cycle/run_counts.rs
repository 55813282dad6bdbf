//! What a run reports is true of the snapshot: how many of its records are in it, and what it
//! changed.

use std::sync::Arc;

use chroma_store::{Operation, OperationKind};
use compactor_core::RunState;
use compactor_snapshots::Step;

use crate::deltas::{Delta, upsert};
use crate::hooks::Script;
use crate::world::World;

/// How many of a delta's ids are in the published snapshot.
fn present(world: &World, delta: &Delta) -> u64 {
    let content = world.content("lines");
    let mut ids: Vec<_> = delta
        .operations
        .iter()
        .map(|operation| &operation.id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let present = ids.into_iter().filter(|id| content.contains_key(*id));
    present.count() as u64
}

fn assert_reported(world: &World, run: &str, delta: &Delta) {
    let part = world.part(run, "lines");
    assert_eq!(part.state, RunState::Completed, "{run}");
    assert_eq!(part.merged_vectors, present(world, delta), "{run}");
    let named = world.manifest("lines", &part.version.unwrap());
    let id = crate::world::run_id(run);
    let applied = named.runs.iter().find(|applied| applied.run_id == id);
    assert_eq!(applied.unwrap().merged, part.merged_vectors, "{run}");
    assert_eq!(part.fence, Some(named.fence), "{run}");
}

fn kind(operation: Operation, kind: OperationKind) -> Operation {
    Operation { kind, ..operation }
}

both!(each_run_reports_its_own_records);
fn each_run_reports_its_own_records(world: World) {
    let deltas = [
        Delta::of("lines", "a", 7),
        Delta::of("lines", "b", 1),
        Delta::of("lines", "a", 4),
        Delta::new("lines", Vec::new()),
    ];
    for (number, delta) in deltas.iter().enumerate() {
        world.submit(&format!("run-{number}"), &[delta]);
    }
    world.drain();
    for (number, delta) in deltas.iter().enumerate() {
        assert_reported(&world, &format!("run-{number}"), delta);
    }
    let manifest = world.snapshot("lines").unwrap().manifest;
    let added: u64 = manifest.runs.iter().map(|run| run.added).sum();
    assert_eq!(added, manifest.rows.records);
}

both!(row_count_is_base_plus_added_minus_deleted);
fn row_count_is_base_plus_added_minus_deleted(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "a", 6)]);
    world.drain();
    // One new, one replaced, two deleted, and four that change nothing.
    let delta = Delta::new(
        "lines",
        vec![
            upsert("new", "new", 1),
            upsert("a-0", "again", 2),
            upsert("a-1", "soon gone", 3),
            Operation::delete("a-1"),
            upsert("a-2", "soon gone", 4),
            Operation::delete("a-2"),
            upsert("passing", "passing", 5),
            Operation::delete("passing"),
        ],
    );
    world.submit("run-next", &[&delta]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    let run = &snapshot.manifest.runs[0];
    assert_eq!(6 + run.added - run.deleted, snapshot.manifest.rows.records);
    let ids: Vec<_> = snapshot.content.keys().map(String::as_str).collect();
    assert_eq!(ids, ["a-0", "a-3", "a-4", "a-5", "new"]);
    assert_reported(&world, "run-next", &delta);
    assert_eq!(run.merged, 2);
    assert_eq!(snapshot.content["a-0"].metadata["source"], "again");
}

both!(add_of_existing_id_is_merged_as_upsert);
fn add_of_existing_id_is_merged_as_upsert(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "a", 2)]);
    world.drain();
    let delta = Delta::new(
        "lines",
        vec![
            kind(upsert("a-0", "again", 9), OperationKind::Add),
            kind(upsert("fresh", "fresh", 9), OperationKind::Add),
        ],
    );
    world.submit("run-next", &[&delta]);
    world.drain();
    assert_reported(&world, "run-next", &delta);
    assert_eq!(world.part("run-next", "lines").merged_vectors, 2);
    let content = world.content("lines");
    assert_eq!(content["a-0"].metadata["source"], "again");
    assert_eq!(content["fresh"].metadata["source"], "fresh");
}

both!(ignored_operations_are_counted_and_run_without_effect_is_logged);
fn ignored_operations_are_counted_and_run_without_effect_is_logged(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "a", 2)]);
    world.drain();
    let unknown = |id: &str| kind(upsert(id, "nothing", 9), OperationKind::Update);
    let some = Delta::new(
        "lines",
        vec![
            upsert("a-0", "again", 9),
            unknown("x"),
            Operation::delete("y"),
        ],
    );
    world.submit("run-some", &[&some]);
    world.drain();
    world.expects(&["the run changed nothing"]);
    let none = Delta::new("lines", vec![unknown("x"), Operation::delete("y")]);
    world.submit("run-none", &[&none]);
    world.drain();
    for (run, merged, ignored) in [("run-base", 2, 0), ("run-some", 1, 2), ("run-none", 0, 2)] {
        let part = world.part(run, "lines");
        let told = (part.state, part.merged_vectors, part.ignored_operations);
        assert_eq!(told, (RunState::Completed, merged, ignored), "{run}");
        let manifest = world.manifest("lines", &part.version.unwrap());
        assert_eq!(manifest.runs[0].ignored, ignored, "{run}");
    }
}

both!(record_deleted_by_later_run_of_batch_is_not_reported_as_merged);
fn record_deleted_by_later_run_of_batch_is_not_reported_as_merged(world: World) {
    let first = Delta::of("lines", "a", 3);
    // A log that tells of a deletion begins with the record that it deletes.
    let second = Delta::new(
        "lines",
        vec![upsert("a-1", "gone", 1), Operation::delete("a-1")],
    );
    world.submit("run-1", &[&first]);
    world.submit("run-2", &[&second]);
    assert_eq!(world.drain().published, 1);
    assert_eq!(world.content("lines").len(), 2);
    assert_reported(&world, "run-2", &second);
    assert_reported(&world, "run-1", &first);
}

both!(run_found_in_lineage_after_crash_reports_its_records);
fn run_found_in_lineage_after_crash_reports_its_records(world: World) {
    let delta = Delta::of("lines", "a", 5);
    world.submit("run-a", &[&delta]);
    world
        .drain_with(Script::kill_at(Step::Swapped))
        .unwrap_err();
    world.let_everything_expire();
    assert_eq!(world.drain().published, 0);
    assert_reported(&world, "run-a", &delta);
}

both!(run_found_in_older_version_after_crash_reports_its_records, in real time);
/// Before the run's message comes back, another run is published on top.
fn run_found_in_older_version_after_crash_reports_its_records(world: World) {
    let (a, b) = (Delta::of("lines", "a", 5), Delta::of("lines", "b", 1));
    world.submit("run-a", &[&a]);
    world
        .drain_with(Script::kill_at(Step::Swapped))
        .unwrap_err();
    let rival = Arc::new(world.rival());
    rival.submit("run-b", &[&b]);
    assert_eq!(rival.drain().published, 1);
    world.let_everything_expire();
    assert_eq!(world.drain().published, 0);
    assert_eq!(world.content("lines").len(), 6);
    // The current manifest no longer has the count; an older one does.
    assert_eq!(world.part("run-a", "lines").merged_vectors, 5);
}
