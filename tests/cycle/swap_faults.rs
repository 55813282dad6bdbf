//! Whatever the put of the pointer answers, a version is committed exactly once and the run's
//! record says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::RunState;
use compactor_core::fakes::{FakeObjectStore, Inject};
use compactor_core::ports::Fault;
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{Backend, Kind, World};

const POINTER: &str = "lines/snapshot/latest-pointer.txt";

use Fault::{Denied, OutcomeUnknown, Throttled, Transient};
use Inject::{Conflict, FailAfter, FailBefore};

/// What is injected into the puts of the pointer, in this order; later ones go through.
const CASES: [&[Inject]; 14] = [
    &[FailAfter(OutcomeUnknown)],
    &[FailBefore(OutcomeUnknown)],
    &[FailBefore(Transient)],
    &[FailAfter(Transient)],
    &[FailBefore(Throttled)],
    &[FailAfter(Throttled)],
    &[Conflict],
    &[Conflict, Conflict, Conflict],
    &[FailBefore(Transient), FailBefore(Transient)],
    &[FailBefore(Transient), FailAfter(OutcomeUnknown)],
    &[FailAfter(OutcomeUnknown), FailBefore(Transient)],
    &[FailAfter(OutcomeUnknown), FailAfter(OutcomeUnknown)],
    &[FailAfter(OutcomeUnknown), Conflict],
    &[Conflict, FailAfter(OutcomeUnknown), FailBefore(Throttled)],
];

fn objects(world: &World) -> &Arc<FakeObjectStore> {
    match &world.backend {
        Backend::Fakes { objects, .. } => objects,
        Backend::Local(_) => panic!("only fakes fail on demand"),
    }
}

/// Injects into the calls of `operation` on the pointer, one after the other.
fn inject(world: &World, operation: &'static str, injects: &[Inject]) {
    let mut injects: VecDeque<_> = injects.iter().copied().collect();
    objects(world).faults.when(move |call| {
        if call.operation == operation && call.target == POINTER {
            return injects.pop_front();
        }
        None
    });
}

/// A world with or without a snapshot, and one run that waits.
fn waiting(with_base: bool, max_receives: u32) -> (World, Vec<Delta>) {
    let world = World::with_max_receives(Kind::FakesInRealTime, max_receives);
    let mut deltas = Vec::new();
    if with_base {
        deltas.push(Delta::of("lines", "base", 3));
        world.submit("run-base", &[&deltas[0]]);
        world.drain();
    }
    deltas.push(Delta::of("lines", "ours", 2));
    world.submit("run-ours", &[deltas.last().unwrap()]);
    (world, deltas)
}

fn assert_committed(world: &World, deltas: &[Delta], what: &str) {
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(deltas), "{what}");
    assert_eq!(snapshot.lineage().len(), deltas.len(), "{what}");
    let part = world.part("run-ours", "lines");
    assert_eq!(
        (part.state, part.merged_vectors, part.error),
        (RunState::Completed, 2, None),
        "{what}"
    );
    assert_eq!(part.version.unwrap().to_string(), snapshot.version());
    assert_eq!(part.fence, Some(snapshot.manifest.fence));
    assert!(world.queue_is_empty() && world.depth().dead == 0, "{what}");
}

fn committed_exactly_once(with_base: bool) {
    for case in CASES {
        let (world, deltas) = waiting(with_base, 3);
        inject(&world, "put", case);
        let summary = world.drain();
        let what = format!("{case:?}");
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (1, 0, 1),
            "{what}"
        );
        assert_committed(&world, &deltas, &what);
        // The upload is not repeated, only the put.
        assert_eq!(world.uploads("lines").len(), deltas.len(), "{what}");
    }
}

#[test]
fn first_snapshot_is_committed_once_whatever_pointer_put_answers() {
    committed_exactly_once(false);
}

#[test]
fn later_snapshot_is_committed_once_whatever_pointer_put_answers() {
    committed_exactly_once(true);
}

#[test]
fn unanswered_pointer_put_is_read_back_until_readable() {
    for with_base in [false, true] {
        let (world, deltas) = waiting(with_base, 3);
        world.expects(&["trying again"]);
        let store = Arc::clone(objects(&world));
        // The put lands and its answer is lost; then the pointer cannot be read for a while.
        let hooks = Script::at(Step::Uploaded, move || {
            let (mut puts, mut gets) = (1, 3);
            store.faults.when(move |call| {
                let left = match call.operation {
                    _ if call.target != POINTER => return None,
                    "put" => &mut puts,
                    "get" => &mut gets,
                    _ => return None,
                };
                let answer = match call.operation {
                    "put" => FailAfter(OutcomeUnknown),
                    _ => FailBefore(Transient),
                };
                if *left == 0 {
                    return None;
                }
                *left -= 1;
                Some(answer)
            });
        });
        let summary = world.drain_with(hooks).unwrap();
        assert_eq!((summary.completed, summary.failed), (1, 0));
        assert_committed(&world, &deltas, "unreadable");
    }
}

#[test]
fn denied_pointer_put_keeps_run_for_next_attempt() {
    for with_base in [false, true] {
        let (world, deltas) = waiting(with_base, 3);
        world.expects(&["CC-PORT-DENIED"]);
        inject(&world, "put", &[FailBefore(Denied)]);
        let outcome = world.drain_with(Script::watch());
        assert_eq!(outcome.unwrap_err().code(), "CC-PORT-DENIED");
        assert_eq!(world.state("run-ours", "lines"), RunState::Pending);
        assert_eq!(world.depth().visible, 1);
        assert!(world.lease_is_free("lines"));
        assert_eq!(world.drain().published, 1);
        assert_committed(&world, &deltas, "denied");
        // Nothing deletes the upload that was refused.
        assert_eq!(world.uploads("lines").len(), deltas.len() + 1);
    }
}

#[test]
fn denied_retry_does_not_hide_that_first_pointer_put_landed() {
    for with_base in [false, true] {
        let (world, deltas) = waiting(with_base, 1);
        inject(
            &world,
            "put",
            &[FailAfter(OutcomeUnknown), FailBefore(Denied)],
        );
        let summary = world.drain();
        assert_eq!((summary.completed, summary.failed), (1, 0));
        assert_committed(&world, &deltas, "unknown, then denied");
    }
}

/// The reader of the error learns from it what the store said last.
#[test]
fn swap_of_unknown_outcome_reports_last_answer_of_store() {
    for (answer, said) in [
        (FailBefore(OutcomeUnknown), "injected by the test"),
        (Conflict, "another write is under way"),
    ] {
        let (world, _) = waiting(true, 3);
        world.expects(&["CC-SWAP-UNKNOWN"]);
        let world = Arc::new(world);
        let budget = world.settings.lease.swap_budget();
        let (clock, mut answer) = (Arc::clone(&world), Some(answer));
        objects(&world).faults.when(move |call| {
            if call.operation != "put" || call.target != POINTER {
                return None;
            }
            let answer = answer.take()?;
            clock.advance(budget + Duration::from_secs(1));
            Some(answer)
        });
        let stop = CancellationToken::new();
        let hooks = Script::stop_at(Step::Released, &stop);
        world.run_until(&stop, hooks).unwrap();
        let why = format!("{POINTER}: {said}");
        assert!(world.logs.said(&why), "{why}");
        objects(&world).faults.clear();
    }
}

#[test]
fn swap_of_unknown_outcome_is_settled_by_next_attempt() {
    for (landed, max_receives) in [(false, 3), (true, 3), (false, 1), (true, 1)] {
        let (world, deltas) = waiting(true, max_receives);
        world.expects(&["CC-SWAP-UNKNOWN"]);
        let world = Arc::new(world);
        let budget = world.settings.lease.swap_budget();
        let first = if landed {
            FailAfter(OutcomeUnknown)
        } else {
            FailBefore(OutcomeUnknown)
        };
        let (clock, mut first) = (Arc::clone(&world), Some(first));
        objects(&world).faults.when(move |call| {
            if call.operation != "put" || call.target != POINTER {
                return None;
            }
            let first = first.take()?;
            // The time for the swap runs out.
            clock.advance(budget + Duration::from_secs(1));
            Some(first)
        });
        let stop = CancellationToken::new();
        let hooks = Script::stop_at(Step::Released, &stop);
        let summary = world.run_until(&stop, hooks).unwrap();
        assert_eq!((summary.completed, summary.failed), (0, 0));
        // The message is not given back: its visibility ends when no put can be on its way any more.
        // After its last receive it would not come back, so the daemon sends it again.
        let depth = world.depth();
        let is_last = u64::from(max_receives == 1);
        assert_eq!((depth.visible, depth.in_flight), (is_last, 1 - is_last));
        assert_eq!(world.state("run-ours", "lines"), RunState::Processing);
        world.let_everything_expire();
        let summary = world.drain();
        assert_eq!((summary.completed, summary.failed), (1, 0));
        assert_eq!(summary.published, u64::from(!landed));
        assert_committed(&world, &deltas, "unknown to the end");
        // The rule holds the world, which holds the rule: neither would ever be dropped.
        objects(&world).faults.clear();
    }
}
