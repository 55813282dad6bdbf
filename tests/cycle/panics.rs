//! A merge that panics: the runs of its batch are merged one by one then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use compactor_core::{CollectionName, RunState};
use compactor_daemon::RunError;
use compactor_daemon::cycle::{Step, StepHooks};

use crate::deltas::{Delta, content_of};
use crate::world::World;

/// Panics in so many merges.
struct Panics(AtomicU32);

impl StepHooks for Panics {
    fn reached(&self, step: Step, _: &CollectionName) -> Result<(), RunError> {
        let less = |left: u32| left.checked_sub(1);
        let (order, left) = (Ordering::Relaxed, &self.0);
        let panics = step == Step::Merged && left.fetch_update(order, order, less).is_ok();
        assert!(!panics, "by a test");
        Ok(())
    }
}

const RUNS: [&str; 3] = ["run-a", "run-b", "run-c"];

fn submitted(world: &World) -> [Delta; 3] {
    world.expects(&["CC-TASK"]);
    RUNS.map(|run| {
        let delta = Delta::of("lines", run, 2);
        world.submit(run, &[&delta]);
        delta
    })
}

both!(none_of_several_runs_is_blamed_before_it_was_alone);
fn none_of_several_runs_is_blamed_before_it_was_alone(world: World) {
    let deltas = submitted(&world);
    // Whether or not it drains at once: what was given back comes again.
    let _ = world.drain_with(Arc::new(Panics(AtomicU32::new(1))));
    world.let_everything_expire();
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
    assert_eq!(world.depth().dead, 0);
}

both!(a_run_that_panics_alone_fails_alone);
fn a_run_that_panics_alone_fails_alone(world: World) {
    let max_receives = world.ports.queue.max_receives();
    let bad = Delta::of("lines", "bad", 2);
    world.expects(&["CC-TASK"]);
    world.submit("run-bad", &[&bad]);
    for _ in 0..=max_receives {
        let _ = world.drain_with(Arc::new(Panics(AtomicU32::new(u32::MAX))));
        world.let_everything_expire();
    }
    assert_eq!(world.state("run-bad", "lines"), RunState::Failed);
    assert_eq!(world.code("run-bad", "lines"), "CC-TASK");
    let deltas = submitted(&world);
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
}
