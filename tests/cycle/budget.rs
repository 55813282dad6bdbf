//! What the deltas of one cycle may take of the working space together.

use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::world::{Backend, World};

const RUNS: usize = 5;

fn submit_some(world: &World) -> Vec<Delta> {
    let deltas = (0..RUNS).map(|at| Delta::of("lines", &format!("d{at}"), 2));
    let deltas: Vec<Delta> = deltas.collect();
    for (at, delta) in deltas.iter().enumerate() {
        world.submit(&format!("run-{at}"), &[delta]);
    }
    deltas
}

both!(delta_that_does_not_fit_beside_others_is_merged_by_next_cycle);
fn delta_that_does_not_fit_beside_others_is_merged_by_next_cycle(world: World) {
    for (batch_bytes, cycles) in [(256 << 20, 1), (1 << 20, RUNS as u64)] {
        let world = World::new(world.kind).with(|settings| {
            // An archive may take 16 MiB whatever its ratio.
            settings.limits.batch_bytes = batch_bytes;
        });
        let deltas = submit_some(&world);
        let summary = world.drain();
        let expected = (RUNS as u64, 0, cycles);
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            expected
        );
        assert_eq!(world.content("lines"), content_of(&deltas));
    }
}

both!(loose_deltas_count_with_their_actual_size);
fn loose_deltas_count_with_their_actual_size(world: World) {
    let world = world.with(|settings| settings.limits.batch_bytes = 500 << 10);
    let deltas: Vec<Delta> = (0..RUNS)
        .map(|at| Delta::of("lines", &format!("d{at}"), 2))
        .collect();
    for (at, delta) in deltas.iter().enumerate() {
        let run = format!("run-{at}");
        let store = delta.write(&world, &world.folder(&run));
        world.upload_loose(&world.prefix(&run, "lines"), &store);
        world.announce(&run, "lines");
    }
    let summary = world.drain();
    // About 180 KiB each: two fit.
    assert_eq!((summary.completed, summary.published), (RUNS as u64, 3));
    assert_eq!(world.content("lines"), content_of(&deltas));
}

both!(delta_is_fetched_and_merged_once_for_all_runs_that_name_it);
fn delta_is_fetched_and_merged_once_for_all_runs_that_name_it(world: World) {
    let delta = Delta::of("lines", "a", 3);
    world.upload_packed("run-x", "lines", &delta.write(&world, &world.folder("x")));
    for at in 0..RUNS {
        let prefix = world.prefix("run-x", "lines");
        // A slash at the beginning names the same object.
        let prefix = if at % 2 == 0 {
            prefix
        } else {
            format!("/{prefix}")
        };
        world.announce_at(&format!("run-{at}"), "lines", &prefix);
    }
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (RUNS as u64, 1));
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, delta.content());
    assert_eq!(snapshot.lineage().len(), RUNS);
    for at in 0..RUNS {
        let part = world.part(&format!("run-{at}"), "lines");
        assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 3));
    }
    if let Backend::Fakes { objects, .. } = &world.backend {
        let calls = objects.faults.calls();
        let archive = "lines/delta/run-x/delta.tar.gz";
        let downloads = calls
            .iter()
            .filter(|call| call.operation == "download" && call.target == archive);
        assert_eq!(downloads.count(), 1);
    }
}

both!(bad_delta_fails_all_runs_that_name_it);
fn bad_delta_fails_all_runs_that_name_it(world: World) {
    world.expects(&["CS-ARCHIVE-DAMAGED"]);
    world.upload_archive("run-x", "lines", b"no archive".to_vec());
    for at in 0..RUNS {
        let prefix = world.prefix("run-x", "lines");
        world.announce_at(&format!("run-{at}"), "lines", &prefix);
    }
    let good = Delta::of("lines", "good", 2);
    world.submit("run-good", &[&good]);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (1, 1));
    assert_eq!(world.content("lines"), good.content());
    for at in 0..RUNS {
        let run = format!("run-{at}");
        assert_eq!(world.state(&run, "lines"), RunState::Failed);
        assert_eq!(world.code(&run, "lines"), "CS-ARCHIVE-DAMAGED");
    }
    assert_eq!(world.depth().dead, RUNS as u64);
}
