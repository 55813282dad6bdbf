//! Every single call of every port fails once, before or after it took effect: whichever call it
//! was, in the end each run is in the snapshot once and its message is gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use compactor_core::RunState;
use compactor_core::fakes::{Call, Faults, Inject};
use compactor_core::ports::Fault;

use crate::deltas::{Delta, base_and_two, content_of};
use crate::hooks::Script;
use crate::world::{Backend, Kind, MAX_RECEIVES, World};

/// A base and two runs that wait, on fakes.
pub(crate) fn waiting() -> (World, [Delta; 3]) {
    waiting_with(MAX_RECEIVES)
}

/// The same on a queue that gives a message up after `max_receives` receives.
fn waiting_with(max_receives: u32) -> (World, [Delta; 3]) {
    let world = World::with_max_receives(Kind::Fakes, max_receives);
    let deltas = base_and_two();
    world.submit("run-base", &[&deltas[0]]);
    world.drain();
    world.submit("run-a", &[&deltas[1]]);
    world.submit("run-b", &[&deltas[2]]);
    (world, deltas)
}

pub(crate) fn all_faults(world: &World) -> [&Faults; 4] {
    match &world.backend {
        Backend::Fakes {
            objects,
            queue,
            leases,
            runs,
        } => [&objects.faults, &queue.faults, &leases.faults, &runs.faults],
        Backend::Local(_) => panic!("only fakes fail on demand"),
    }
}

/// The calls of a daemon, numbered over all ports.
pub(crate) type Diary = Arc<Mutex<Vec<Call>>>;

/// Asks `rule` at every call, with the call's number and whether the call is counted. Periodic calls
/// are not counted, because their number differs from test to test: they get the number of the next
/// call.
pub(crate) fn numbered(
    world: &World,
    rule: impl Fn(usize, bool) -> Option<Inject> + Clone + Send + 'static,
) -> Diary {
    let diary = Diary::default();
    for faults in all_faults(world) {
        let (diary, rule) = (Arc::clone(&diary), rule.clone());
        faults.when(move |call| {
            let mut diary = diary.lock().unwrap();
            if matches!(call.operation, "extend" | "renew" | "receive" | "depth") {
                return rule(diary.len(), false);
            }
            diary.push(call.clone());
            rule(diary.len() - 1, true)
        });
    }
    diary
}

/// Part of every log line that the faults cause.
const INJECTED: &str = "injected by the test";

fn sweep(inject: Inject) {
    let mut number = 0;
    loop {
        let (world, deltas) = waiting();
        world.expects(&[INJECTED]);
        let diary = numbered(&world, move |at, counted| {
            (counted && at == number).then_some(inject)
        });
        let outcome = world.drain_with(Script::watch());
        let diary = diary.lock().unwrap().clone();
        let Some(failed) = diary.get(number) else {
            assert!(number > 20, "only {number} calls in a whole cycle");
            return;
        };
        let what = format!("call {number}, {} {}", failed.operation, failed.target);
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
        assert_in_the_end(&world, &deltas, &what);
        number += 1;
    }
}

pub(crate) fn assert_in_the_end(world: &World, deltas: &[Delta], what: &str) {
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(deltas), "{what}");
    let mut lineage = snapshot.lineage();
    lineage.sort_unstable();
    assert_eq!(lineage, ["run-a", "run-b", "run-base"], "{what}");
    for (run, merged) in [("run-a", 2), ("run-b", 1)] {
        let part = world.part(run, "lines");
        assert_eq!(
            (part.state, part.merged_vectors),
            (RunState::Completed, merged),
            "{what}, {run}"
        );
        assert_eq!(part.error, None, "{what}, {run}");
    }
    assert!(
        world.queue_is_empty() && world.depth().dead == 0,
        "{what}: {:?}",
        world.dead_letters()
    );
}

#[test]
fn runs_complete_once_if_any_call_fails_without_effect() {
    sweep(Inject::FailBefore(Fault::Transient));
}

#[test]
fn runs_complete_once_if_any_answer_is_lost() {
    sweep(Inject::FailAfter(Fault::OutcomeUnknown));
}

#[test]
fn runs_complete_once_if_any_call_is_throttled() {
    sweep(Inject::FailBefore(Fault::Throttled));
}

#[test]
fn runs_complete_once_if_any_periodic_call_fails() {
    for operation in ["extend", "renew", "receive", "depth"] {
        for inject in [
            Inject::FailBefore(Fault::Transient),
            Inject::FailAfter(Fault::OutcomeUnknown),
        ] {
            let (world, deltas) = waiting();
            world.expects(&[INJECTED]);
            for faults in all_faults(&world) {
                faults.next(operation, inject);
            }
            let outcome = world.drain_with(Script::watch());
            assert!(outcome.is_ok(), "{operation}, {inject:?}: {outcome:?}");
            assert_in_the_end(&world, &deltas, &format!("{operation}, {inject:?}"));
        }
    }
}

/// The answer to an upload is lost, and there is no room to download the object and compare it.
#[test]
fn full_disk_during_upload_check_buries_no_run() {
    // Each start uses up some receives.
    let (world, deltas) = waiting_with(8 * MAX_RECEIVES);
    world.expects(&["CC-PORT-FULL", "trying again"]);
    let [objects, ..] = all_faults(&world);
    let mut uploaded = BTreeSet::new();
    objects.when(move |call| match call.operation {
        "upload" => {
            let is_new = uploaded.insert(call.target.clone());
            is_new.then_some(Inject::FailAfter(Fault::OutcomeUnknown))
        }
        "download" => {
            let is_new = uploaded.contains(&call.target);
            is_new.then_some(Inject::FailBefore(Fault::Full))
        }
        _ => None,
    });
    for _ in 0..2 {
        assert!(world.drain_with(Script::watch()).is_err());
        world.let_everything_expire();
        for run in ["run-a", "run-b"] {
            assert_eq!(world.code(run, "lines"), "CC-PORT-FULL");
            assert_ne!(world.state(run, "lines"), RunState::Failed);
        }
    }
    objects.clear();
    world.drain();
    assert_in_the_end(&world, &deltas, "when there is room again");
}
