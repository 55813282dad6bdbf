//! A record that cannot be written: the run is published, and its message stays until the record
//! says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use compactor_core::RunState;
use compactor_core::fakes::Inject;
use compactor_core::ports::Fault;
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

/// A run is published and not recorded, then another one is published on top: the next version says
/// only that the run is in it, and how much it merged is read from its own. That fails so often.
/// What is recorded in the end.
fn recorded_after(failures_to_read: u32) -> u64 {
    let world = World::with_max_receives(Kind::Fakes, 20);
    world.expects(&[
        "cannot record a completed run",
        "cannot read what a run merged",
        "cannot tell how many records a run merged",
    ]);
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
    let (is_on_top, left) = (
        Arc::new(AtomicBool::new(false)),
        AtomicU32::new(failures_to_read),
    );
    let (on_top, mut own) = (Arc::clone(&is_on_top), None);
    objects.faults.when(move |call| {
        if !call.target.ends_with("/manifest.json") {
            return None;
        }
        let is_own = own.get_or_insert_with(|| call.target.clone()) == &call.target;
        let for_figure = is_own && call.operation == "get" && on_top.load(Ordering::SeqCst);
        let fails = for_figure && left.load(Ordering::SeqCst) > 0;
        if fails {
            left.fetch_sub(1, Ordering::SeqCst);
        }
        fails.then_some(Inject::FailBefore(Fault::Transient))
    });
    let (rival, delta) = (world.rival(), theirs.clone());
    let then = move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&delta]);
            rival.drain();
        });
        is_on_top.store(true, Ordering::SeqCst);
    };
    let outcome = world.drain_with(Script::at(Step::Released, then));
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(world.content("lines"), content_of([&ours, &theirs]));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    let part = world.part("run-ours", "lines");
    assert_eq!(part.state, RunState::Completed);
    part.merged_vectors
}

#[test]
fn what_cannot_be_read_for_a_while_is_recorded_later() {
    // Some of them meet who looks for what may be cleaned up.
    assert_eq!(recorded_after(6), 2);
}

/// It is published, so nothing is won by burying it.
#[test]
fn what_can_never_be_read_is_recorded_as_nothing_in_the_end() {
    assert_eq!(recorded_after(u32::MAX), 0);
}
