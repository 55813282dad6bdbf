//! The daemon: what it is made of, how it runs, and how it ends.

mod dispatch;
mod finished;
mod probe;
mod shutdown;
mod status;

use std::sync::Arc;

use compactor_snapshots::{Observer, Retry, Scratch, SnapshotRepository};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::crash_points::CrashPoints;
use crate::in_flight::InFlight;
use crate::observe::LogObserver;
use crate::{Ports, Result, Settings};

use dispatch::Dispatcher;
pub use status::{CollectionStatus, PhaseStatus, Status};

/// When a daemon ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    Forever,
    /// When the queue is empty: no message is waiting, delayed or in flight anywhere.
    Drain,
}

/// What a daemon did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Runs completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Versions published.
    pub published: u64,
}

/// The daemon.
pub struct Daemon {
    context: Context,
    status: watch::Sender<Status>,
}

impl Daemon {
    /// A daemon that stops when `stop` is cancelled.
    pub fn new(
        mut ports: Ports,
        settings: Settings,
        scratch: Scratch,
        stop: CancellationToken,
    ) -> Self {
        let retry = Retry::new(settings.retry(), &ports.clock, &ports.ids);
        let repository = SnapshotRepository::retrying(&ports.objects, retry.clone());
        ports.objects = Arc::clone(repository.objects());
        let context = Context {
            ports,
            repository,
            retry,
            settings: Arc::new(settings),
            scratch: Arc::new(scratch),
            in_flight: InFlight::new(&stop),
            observer: Arc::new(LogObserver),
            crash_points: CrashPoints::default(),
            stop,
            settling: TaskTracker::new(),
        };
        Self {
            context,
            status: watch::Sender::default(),
        }
    }

    /// Tells `observer` of every step that is done.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.context.observer = observer;
        self
    }

    /// Tracks work that must not be cancelled in `settling`: a process that ends at once waits for it.
    #[must_use]
    pub fn with_settling(mut self, settling: TaskTracker) -> Self {
        self.context.settling = settling;
        self
    }

    /// Crashes where `plan` says; see [`Daemon::run_or_crash`].
    #[cfg(feature = "crash-points")]
    #[must_use]
    pub fn with_crash_plan(mut self, plan: Arc<dyn crate::CrashPlan>) -> Self {
        self.context.crash_points = CrashPoints::new(plan);
        self
    }

    /// What the daemon is doing, from now to its end. It changes when a cycle begins or ends, and when messages
    /// come.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Works until stopped or, in [`Mode::Drain`], until the queue is empty.
    ///
    /// # Errors
    /// Something that no retry changes and that every run needs (access denied, storage missing), or a queue
    /// that cannot be read during a drain.
    pub async fn run(self, mode: Mode) -> Result<Summary> {
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => {}
            probed = probe::probe(&self.context) => probed?,
        }
        let (ports, settings) = (self.context.ports.clone(), &self.context.settings);
        let keeper = self.context.in_flight.keep_hidden(ports, settings);
        let (stop, clock) = (
            self.context.stop.clone(),
            Arc::clone(&self.context.ports.clock),
        );
        let grace = shutdown::grace(&self.context.settings);
        let mut bound = self.context.settings.shutdown;
        let mut dispatcher = Dispatcher::new(self.context, self.status);
        // A call that does not answer must not keep the daemon from ending in time.
        let too_late = async {
            stop.cancelled().await;
            clock.sleep(grace).await;
        };
        let outcome = tokio::select! {
            biased;
            served = dispatcher.serve(mode) => served,
            () = too_late => {
                bound = bound.saturating_sub(grace);
                Ok(())
            }
        };
        let ended = dispatcher.shut_down(bound).await;
        drop(keeper);
        outcome.and(ended).map(|()| dispatcher.summary())
    }

    /// As [`Daemon::run`], but ends where the plan says, as a crash would: with no clean-up.
    ///
    /// # Errors
    /// The daemon crashed.
    #[cfg(feature = "crash-points")]
    pub async fn run_or_crash(
        self,
        mode: Mode,
    ) -> std::result::Result<Result<Summary>, crate::Crashed> {
        let crash_points = self.context.crash_points.clone();
        tokio::select! {
            biased;
            () = crash_points.crashed() => Err(crate::Crashed),
            outcome = self.run(mode) => Ok(outcome),
        }
    }
}
