//! A merge that panics: the runs of its batch are merged one by one then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use compactor_core::RunState;
use compactor_daemon::CrashPlan;
use compactor_snapshots::{Observed, Observer, Step};

use crate::deltas::{Delta, content_of};
use crate::world::World;

/// Panics at a step, as often as the counter says.
struct Panics(AtomicU32, Step);

fn panics(times: u32) -> Arc<Panics> {
    Arc::new(Panics(AtomicU32::new(times), Step::Merged))
}

impl CrashPlan for Panics {
    fn crashes(&self) -> bool {
        false
    }
}

impl Observer for Panics {
    fn observe(&self, observed: &Observed<'_>) {
        let less = |left: u32| left.checked_sub(1);
        let (order, left) = (Ordering::Relaxed, &self.0);
        let panics = observed.step == self.1 && left.fetch_update(order, order, less).is_ok();
        assert!(!panics, "by a test");
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

both!(panic_in_batch_fails_no_run_before_it_is_merged_alone);
fn panic_in_batch_fails_no_run_before_it_is_merged_alone(world: World) {
    let deltas = submitted(&world);
    // Whether or not the first drain succeeds, the runs that it gave back come again.
    let _ = world.drain_with(panics(1));
    world.let_everything_expire();
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
    assert_eq!(world.depth().dead, 0);
}

both!(run_whose_lone_merge_panics_fails_alone);
fn run_whose_lone_merge_panics_fails_alone(world: World) {
    let max_receives = world.ports.queue.max_receives();
    let bad = Delta::of("lines", "bad", 2);
    world.expects(&["CC-TASK"]);
    world.submit("run-bad", &[&bad]);
    for _ in 0..=max_receives {
        let _ = world.drain_with(panics(u32::MAX));
        world.let_everything_expire();
    }
    assert_eq!(world.state("run-bad", "lines"), RunState::Failed);
    assert_eq!(world.code("run-bad", "lines"), "CC-TASK");
    let deltas = submitted(&world);
    world.drain();
    assert_eq!(world.content("lines"), content_of(&deltas));
}

// A panic outside the merge says nothing about a delta.
both!(panic_in_verification_fails_no_run);
fn panic_in_verification_fails_no_run(world: World) {
    let delta = Delta::of("lines", "a", 2);
    world.expects(&["CC-TASK"]);
    world.submit("run-a", &[&delta]);
    for _ in 0..=world.ports.queue.max_receives() {
        let verifying = Panics(AtomicU32::new(u32::MAX), Step::Verified);
        let _ = world.drain_with(Arc::new(verifying));
        world.let_everything_expire();
    }
    world.drain();
    assert_eq!(world.content("lines"), delta.content());
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert_eq!(world.depth().dead, 0);
}
