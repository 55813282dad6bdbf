//! Runs that wait together are merged together and published by one swap.

use compactor_core::RunState;

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

const RUNS: usize = 12;

fn submit_many(world: &World) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for number in 0..RUNS {
        let delta = Delta::of("lines", &format!("p{number}"), 2);
        world.submit(&format!("run-{number}"), &[&delta]);
        deltas.push(delta);
    }
    deltas
}

both!(twelve_waiting_runs_become_one_version);
fn twelve_waiting_runs_become_one_version(world: World) {
    let deltas = submit_many(&world);
    let diary = Script::watch();
    let summary = world.drain_with(diary.clone()).unwrap();
    assert_eq!(
        (summary.completed, summary.failed, summary.published),
        (12, 0, 1)
    );
    assert_eq!(diary.count(compactor_snapshots::Step::Received), 1);
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(&deltas));
    assert_eq!(snapshot.manifest.runs.len(), RUNS);
    for number in 0..RUNS {
        let part = world.part(&format!("run-{number}"), "lines");
        assert_eq!(part.state, RunState::Completed);
        assert_eq!(part.version.unwrap().to_string(), snapshot.version());
        assert_eq!(part.merged_vectors, 2);
    }
    assert!(world.queue_is_empty());
}

both!(batch_never_has_more_runs_than_configured);
fn batch_never_has_more_runs_than_configured(world: World) {
    let world = world.with(|settings| settings.batch_runs = 5);
    let deltas = submit_many(&world);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (12, 3));
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(&deltas));
    assert_eq!(snapshot.lineage().len(), RUNS);
    assert!(snapshot.manifest.runs.len() <= 5);
}

both!(daemon_holds_no_more_messages_than_configured);
fn daemon_holds_no_more_messages_than_configured(world: World) {
    let world = world.with(|settings| settings.in_flight = 4);
    let deltas = submit_many(&world);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (12, 3));
    assert_eq!(world.content("lines"), content_of(&deltas));
}

both!(delta_of_1001_records_is_merged_whole);
fn delta_of_1001_records_is_merged_whole(world: World) {
    let delta = Delta::of("lines", "many", 1001);
    world.submit("run-a", &[&delta]);
    world.drain();
    // More than the sync threshold: the vectors are in index files.
    assert_eq!(
        in_thousandths(world.content("lines")),
        in_thousandths(delta.content())
    );
    assert_eq!(world.part("run-a", "lines").merged_vectors, 1001);
}
