//! A record that cannot be written: the run is published, and its message stays until the record
//! says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use compactor_core::RunState;
use compactor_core::fakes::Inject;
use compactor_core::ports::Fault;
use compactor_daemon::RunError;
use compactor_daemon::cycle::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::process::elsewhere;
use crate::world::{Backend, Kind, World};

#[test]
fn what_is_not_recorded_is_not_acknowledged() {
    let world = World::new(Kind::Fakes);
    world.expects(&["cannot record a completed run"]);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let Backend::Fakes { runs, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    // All attempts of the first delivery.
    let (failures, attempts) = (AtomicU32::new(0), world.settings.attempts);
    runs.faults.when(move |call| {
        let fails =
            call.operation == "complete" && failures.fetch_add(1, Ordering::SeqCst) < attempts;
        fails.then_some(Inject::FailBefore(Fault::Transient))
    });
    let summary = world.drain();
    assert_eq!((summary.published, summary.completed), (1, 1));
    let part = world.part("run-a", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    assert_eq!(world.content("lines"), delta.content());
    assert!(world.queue_is_empty());
}

/// The next version says only that the run is in it; how much it merged is read from its own. If
/// that cannot be read for a while, the record waits: what it says once stays.
#[test]
fn what_cannot_be_read_is_not_recorded_as_nothing() {
    let world = World::new(Kind::Fakes);
    world.expects(&["cannot record a completed run", "injected by the test"]);
    let (ours, theirs) = (
        Delta::of("lines", "ours", 2),
        Delta::of("lines", "theirs", 1),
    );
    world.submit("run-ours", &[&ours]);
    let Backend::Fakes { runs, objects, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    let (failures, attempts) = (AtomicU32::new(0), world.settings.attempts);
    runs.faults.when(move |call| {
        let is_ours = call.operation == "complete" && call.target.contains("run-ours");
        let fails = is_ours && failures.fetch_add(1, Ordering::SeqCst) < attempts;
        fails.then_some(Inject::FailBefore(Fault::Transient))
    });
    let walked = Arc::new(AtomicU32::new(0));
    let (counted, mut manifests) = (Arc::clone(&walked), Vec::new());
    objects.faults.when(move |call| {
        if call.operation != "get" || !call.target.ends_with("/manifest.json") {
            return None;
        }
        manifests.push(call.target.clone());
        // The first that is read is the run's own; when another one was read before, it is read for
        // the figure.
        let for_figure =
            call.target == manifests[0] && manifests.iter().any(|key| *key != manifests[0]);
        let fails = for_figure && counted.fetch_add(1, Ordering::SeqCst) < attempts;
        fails.then_some(Inject::FailBefore(Fault::Transient))
    });
    let (rival, delta) = (world.rival(), theirs.clone());
    let then = move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&delta]);
            rival.drain();
        });
    };
    // Half of the receives are used up: it keeps the run, and says why.
    let outcome = world.drain_with(Script::at(Step::Released, then));
    assert!(matches!(outcome, Err(RunError::Port(_))), "{outcome:?}");
    assert_eq!(world.state("run-ours", "lines"), RunState::Pending);
    world.drain();
    let part = world.part("run-ours", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    assert!(walked.load(Ordering::SeqCst) > attempts);
    assert_eq!(world.content("lines"), content_of([&ours, &theirs]));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}
