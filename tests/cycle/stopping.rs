//! A daemon that is asked to stop gives back what it has not published, untouched;
//! what it has published it records and acknowledges first. If that does not work out, it ends in
//! the configured time all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::RunState;
use compactor_core::ports::{
    Attributes, Clock, Delivery, Depth, Held, Monotonic, PortResult, Queue, Receipt,
};
use compactor_daemon::{CrashPlan, Crashed, Mode};
use compactor_snapshots::{Observed, Observer, Step};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::dispatcher;

use crate::deltas::{Delta, base_and_two, content_of};
use crate::hooks::{Fate, Script};
use crate::world::{Kind, World};

/// How long stopping may take where something is stuck.
const BOUND: Duration = Duration::from_secs(1);

/// How much longer it may take on a busy machine.
const ALLOWANCE: Duration = Duration::from_secs(3);

/// A daemon that never ends is a failed test, not one that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const BEFORE_THE_UPLOAD_ENDS: [Step; 7] = [
    Step::Received,
    Step::Leased,
    Step::Resolved,
    Step::Fetched,
    Step::Merged,
    Step::Closed,
    Step::Verified,
];

const FROM_THE_SWAP_ON: [Step; 4] = [
    Step::Swapped,
    Step::Recorded,
    Step::Acknowledged,
    Step::Released,
];

/// A base and two runs that wait.
fn waiting(world: &World) -> [Delta; 3] {
    let deltas = base_and_two();
    world.submit("run-base", &[&deltas[0]]);
    world.drain();
    world.submit("run-a", &[&deltas[1]]);
    world.submit("run-b", &[&deltas[2]]);
    deltas
}

fn stopped_at(world: &World, step: Step) -> compactor_daemon::Summary {
    let stop = CancellationToken::new();
    let hooks = Script::stop_at(step, &stop);
    world.run_until(&stop, hooks).unwrap()
}

fn assert_given_back(world: &World, step: Step) {
    assert_eq!(world.uploads("lines").len(), 1, "{step:?}");
    let depth = world.depth();
    assert_eq!(
        (depth.visible, depth.delayed, depth.in_flight, depth.dead),
        (2, 0, 0, 0),
        "{step:?}"
    );
    for run in ["run-a", "run-b"] {
        let state = world.state(run, "lines");
        assert!(
            matches!(state, RunState::Pending | RunState::Processing),
            "{run} is {state} at {step:?}"
        );
    }
    assert!(world.lease_is_free("lines"), "{step:?}");
}

fn assert_done(world: &World, deltas: &[Delta; 3], step: Step) {
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(deltas), "{step:?}");
    for run in ["run-a", "run-b"] {
        assert_eq!(world.state(run, "lines"), RunState::Completed, "{step:?}");
    }
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert!(world.lease_is_free("lines"), "{step:?}");
}

both!(stop_before_upload_ends_gives_back_all_runs, in real time);
fn stop_before_upload_ends_gives_back_all_runs(world: World) {
    let kind = world.kind;
    for step in BEFORE_THE_UPLOAD_ENDS {
        let world = World::new(kind);
        let deltas = waiting(&world);
        let pointer = world.pointer("lines");
        let summary = stopped_at(&world, step);
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (0, 0, 0),
            "{step:?}"
        );
        assert_eq!(world.pointer("lines"), pointer);
        assert_given_back(&world, step);
        assert_eq!(world.drain().completed, 2, "{step:?}");
        assert_done(&world, &deltas, step);
    }
}

// A caller that ends the process at once waits until no cycle is tracked any more.
both!(cycle_is_tracked_as_settling_from_swap_to_end, in real time);
fn cycle_is_tracked_as_settling_from_swap_to_end(world: World) {
    waiting(&world);
    let (stop, settling) = (CancellationToken::new(), TaskTracker::new());
    let (stops, tracks) = (stop.clone(), settling.clone());
    let hooks = Script::new(move |step, _| {
        let from_the_swap_on = FROM_THE_SWAP_ON.contains(&step);
        assert_eq!(!tracks.is_empty(), from_the_swap_on, "{step:?}");
        if step == Step::Released {
            stops.cancel();
        }
        Fate::GoesOn
    });
    let daemon = world.daemon(stop).with_observer(hooks);
    let daemon = daemon.with_settling(settling.clone());
    let summary = world.finish(daemon.run(Mode::Forever));
    assert_eq!(summary.unwrap().completed, 2);
    assert!(settling.is_empty());
}

both!(stop_between_upload_and_swap_publishes_nothing, in real time);
fn stop_between_upload_and_swap_publishes_nothing(world: World) {
    let deltas = waiting(&world);
    let pointer = world.pointer("lines");
    let summary = stopped_at(&world, Step::Uploaded);
    assert_eq!((summary.completed, summary.published), (0, 0));
    assert_eq!(world.pointer("lines"), pointer);
    assert_eq!(world.depth().visible, 2);
    world.drain();
    assert_done(&world, &deltas, Step::Uploaded);
}

both!(stop_after_swap_records_and_acknowledges_all_runs, in real time);
fn stop_after_swap_records_and_acknowledges_all_runs(world: World) {
    let kind = world.kind;
    for step in FROM_THE_SWAP_ON {
        let world = World::new(kind);
        let deltas = waiting(&world);
        let summary = stopped_at(&world, step);
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (2, 0, 1),
            "{step:?}"
        );
        assert_done(&world, &deltas, step);
    }
}

both!(stop_gives_back_runs_that_wait_for_worker, in real time);
fn stop_gives_back_runs_that_wait_for_worker(world: World) {
    let world = world.with(|settings| settings.workers = 1);
    let collections = ["lines", "words", "pages"];
    for collection in collections {
        world.submit(
            &format!("run-{collection}"),
            &[&Delta::of(collection, "a", 1)],
        );
    }
    stopped_at(&world, Step::Fetched);
    let depth = world.depth();
    assert_eq!((depth.visible, depth.delayed, depth.in_flight), (3, 0, 0));
    assert_eq!(world.drain().completed, 3);
    for collection in collections {
        assert_eq!(world.content(collection).len(), 1);
    }
}

both!(idle_daemon_stops_at_once, in real time);
fn idle_daemon_stops_at_once(world: World) {
    let stop = CancellationToken::new();
    stop.cancel();
    let summary = world.run_until(&stop, Script::watch()).unwrap();
    assert_eq!(summary, compactor_daemon::Summary::default());
}

fn in_a_hurry(kind: Kind) -> World {
    let world = World::new(kind).with(|settings| settings.shutdown = BOUND);
    world.expects(&[
        "stopping without waiting any longer",
        "messages could not be given back in time",
    ]);
    world
}

/// The threads of a process that the test ends.
fn threads(world: &World) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(world.logs.on_thread_start())
        .enable_all()
        .build()
        .unwrap()
}

/// Asks the daemon to stop at a step, and does something there. Other steps go on meanwhile.
struct StopAt<F> {
    at: Step,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    asked: OnceLock<Monotonic>,
    before: Box<dyn Fn() + Send + Sync>,
    then: F,
    crashes: AtomicBool,
}

impl<F: Fn() -> Fate + Send + Sync> Observer for StopAt<F> {
    fn observe(&self, observed: &Observed<'_>) {
        if observed.step != self.at || self.asked.set(self.clock.monotonic()).is_err() {
            return;
        }
        (self.before)();
        self.stop.cancel();
        let crashes = (self.then)() == Fate::Crashes;
        self.crashes.store(crashes, Ordering::SeqCst);
    }
}

impl<F: Fn() -> Fate + Send + Sync> CrashPlan for StopAt<F> {
    fn crashes(&self) -> bool {
        self.crashes.load(Ordering::SeqCst)
    }
}

/// Runs a daemon that is asked to stop at `at`, does `before` ahead of that, and `then` after it.
/// Gives the time from the request to its end.
fn time_to_stop(
    world: &World,
    threads: &Runtime,
    at: Step,
    before: impl Fn() + Send + Sync + 'static,
    then: impl Fn() -> Fate + Send + Sync + 'static,
) -> Duration {
    let (stop, clock) = (CancellationToken::new(), Arc::clone(&world.ports.clock));
    let hooks = Arc::new(StopAt {
        at,
        stop: stop.clone(),
        clock: Arc::clone(&clock),
        asked: OnceLock::new(),
        before: Box::new(before),
        then,
        crashes: AtomicBool::new(false),
    });
    let daemon = world
        .daemon(stop)
        .with_observer(hooks.clone())
        .with_crash_plan(hooks.clone())
        .run_or_crash(Mode::Forever);
    let patient = async {
        tokio::time::timeout(PATIENCE, daemon)
            .await
            .expect("the daemon did not end")
    };
    dispatcher::with_default(&world.logs.dispatch(), || threads.block_on(patient))
        .unwrap_or_else(|Crashed| panic!("it crashed before it ended"))
        .unwrap();
    clock.monotonic().0 - hooks.asked.get().unwrap().0
}

/// Asserts that the daemon ended in time, and not before `tenths` tenths of the bound were over. The
/// last tenth is for giving messages back.
fn assert_in_time(took: Duration, tenths: u32, step: Step) {
    assert!(took < BOUND + ALLOWANCE, "{step:?}: {took:?}");
    assert!(took >= BOUND * tenths / 10, "{step:?}: {took:?}");
}

both!(stop_abandons_stuck_step_in_configured_time, in real time);
fn stop_abandons_stuck_step_in_configured_time(world: World) {
    let kind = world.kind;
    for step in Step::ALL {
        let world = in_a_hurry(kind);
        let deltas = waiting(&world);
        let threads = threads(&world);
        // Dropped before the threads, which are waited for.
        let (gate, opened) = channel::<()>();
        let opened = Mutex::new(opened);
        let took = time_to_stop(
            &world,
            &threads,
            step,
            || {},
            move || {
                // Nothing is sent. The step ends after the daemon, as the end of the process would
                // end it.
                assert!(opened.lock().unwrap().recv().is_err());
                Fate::Crashes
            },
        );
        drop(gate);
        drop(threads);
        // Work on directories has threads of its own, which the daemon does not wait for.
        let is_apart = matches!(step, Step::Merged | Step::Closed | Step::Verified);
        assert_in_time(took, if is_apart { 0 } else { 9 }, step);
        world.let_everything_expire();
        world.drain();
        assert_done(&world, &deltas, step);
    }
}

both!(stop_abandons_silent_queue_in_configured_time, in real time);
fn stop_abandons_silent_queue_in_configured_time(world: World) {
    let kind = world.kind;
    for step in Step::ALL {
        let mut world = in_a_hurry(kind);
        let deltas = waiting(&world);
        let is_mute = Arc::new(AtomicBool::new(false));
        world.ports.queue = Arc::new(MuteQueue {
            queue: Arc::clone(&world.ports.queue),
            is_mute: Arc::clone(&is_mute),
        });
        let (threads, mute) = (threads(&world), Arc::clone(&is_mute));
        // The queue falls silent before the daemon is asked to stop, or the daemon may be faster.
        let fall_mute = move || mute.store(true, Ordering::SeqCst);
        let took = time_to_stop(&world, &threads, step, fall_mute, || Fate::GoesOn);
        drop(threads);
        let tenths = match step {
            // Nothing is left to give back or to delete.
            Step::Acknowledged | Step::Released => 0,
            // The cycle deletes.
            Step::Swapped | Step::Recorded => 9,
            // The daemon gives back when all else is over.
            _ => 1,
        };
        assert_in_time(took, tenths, step);
        is_mute.store(false, Ordering::SeqCst);
        world.let_everything_expire();
        world.drain();
        assert_done(&world, &deltas, step);
    }
}

/// A queue that may stop answering.
struct MuteQueue {
    queue: Arc<dyn Queue>,
    is_mute: Arc<AtomicBool>,
}

impl MuteQueue {
    async fn ask<T: Send>(
        &self,
        call: impl Future<Output = PortResult<T>> + Send,
    ) -> PortResult<T> {
        if self.is_mute.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        call.await
    }
}

#[async_trait]
impl Queue for MuteQueue {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        self.ask(self.queue.send(body, attributes)).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.ask(self.queue.receive(max, wait, visibility)).await
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        self.ask(self.queue.extend(receipt, visibility)).await
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        self.ask(self.queue.release(receipt, delay)).await
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        self.ask(self.queue.delete(receipt)).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        self.ask(self.queue.dead_letter(delivery, reason)).await
    }

    async fn depth(&self) -> PortResult<Depth> {
        self.ask(self.queue.depth()).await
    }

    fn max_receives(&self) -> u32 {
        self.queue.max_receives()
    }
}
