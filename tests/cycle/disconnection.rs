//! A daemon that is cut off from everything at any call of any port, for good, as a killed process
//! or a lost machine is. What it leaves is safe, and the next daemon finishes the work.

use std::cmp::Ordering;

use compactor_core::RunState;
use compactor_core::fakes::{Call, Inject};
use compactor_core::ports::Fault;

use crate::hooks::Script;
use crate::port_faults::{all_faults, assert_in_the_end, numbered, waiting};
use crate::world::World;

/// I1 and I2, whatever has happened.
fn assert_safe(world: &World, what: &str) {
    let snapshot = world.snapshot("lines").unwrap();
    let lineage = snapshot.lineage();
    let mut missing = 0;
    for run in ["run-a", "run-b"] {
        let completed = world.state(run, "lines") == RunState::Completed;
        assert!(!completed || lineage.contains(&run), "{what}, {run}");
        missing += u64::from(!lineage.contains(&run));
    }
    assert!(lineage.contains(&"run-base"), "{what}");
    let depth = world.depth();
    let waiting = depth.visible + depth.delayed + depth.in_flight;
    assert!(waiting >= missing && depth.dead == 0, "{what}: {depth:?}");
}

/// Cuts the daemon off at every call. That call itself takes effect or does not.
fn sweep(takes_effect: bool) {
    let mut number = 0;
    loop {
        let (world, deltas) = waiting();
        world.expects(&["CC-PORT-DENIED"]);
        let diary = numbered(&world, move |at, counted| match at.cmp(&number) {
            Ordering::Greater => Some(Inject::FailBefore(Fault::Denied)),
            Ordering::Equal if counted && takes_effect => Some(Inject::FailAfter(Fault::Denied)),
            Ordering::Equal if counted => Some(Inject::FailBefore(Fault::Denied)),
            Ordering::Equal | Ordering::Less => None,
        });
        // It ends with an error, or after all its work.
        let outcome = world.drain_with(Script::watch());
        let diary = diary.lock().unwrap().clone();
        let Some(Call { operation, target }) = diary.get(number) else {
            assert!(number > 20 && outcome.is_ok(), "{number}: {outcome:?}");
            return;
        };
        for faults in all_faults(&world) {
            faults.clear();
        }
        let what = format!("cut off at call {number}, {operation} {target}");
        assert_safe(&world, &what);
        world.let_everything_expire();
        world.drain();
        assert_in_the_end(&world, &deltas, &what);
        number += 1;
    }
}

#[test]
fn work_is_finished_after_cut_off_before_any_call_takes_effect() {
    sweep(false);
}

#[test]
fn work_is_finished_after_cut_off_after_any_call_takes_effect() {
    sweep(true);
}
