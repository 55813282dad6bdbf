//! A daemon as a process: it has a runtime of its own, and when it is killed nothing of it lives
//! on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use compactor_daemon::{CrashPlan, Crashed, Daemon, Error, Mode, Summary};
use compactor_snapshots::{Observer, Scratch};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::dispatcher;

use crate::hooks::Script;
use crate::world::{Kind, World};

/// What a test does at the boundaries between steps.
pub(crate) trait Hooks: Observer + CrashPlan + 'static {}

impl<H: Observer + CrashPlan + 'static> Hooks for H {}

/// Why a daemon ended before it was done.
#[derive(Debug)]
pub(crate) enum Ended {
    Crashed,
    Failed(Error),
}

impl Ended {
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Failed(error) => error,
            Self::Crashed => panic!("it crashed"),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.error().code()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error().fmt(f)
    }
}

/// A daemon that never ends is a failed test, not one that hangs.
const PATIENCE: Duration = Duration::from_secs(300);

impl World {
    /// Runs a daemon until the queue is empty.
    pub(crate) fn drain(&self) -> Summary {
        self.try_drain().unwrap()
    }

    /// Runs a daemon until the queue is empty, or something ends it.
    pub(crate) fn try_drain(&self) -> Result<Summary, Ended> {
        self.drain_with(Script::watch())
    }

    /// Runs a daemon with hooks until the queue is empty, or until they kill it.
    pub(crate) fn drain_with(&self, hooks: Arc<impl Hooks>) -> Result<Summary, Ended> {
        self.run(Mode::Drain, hooks, CancellationToken::new())
    }

    /// Runs a daemon until `stop` is cancelled.
    pub(crate) fn run_until(
        &self,
        stop: &CancellationToken,
        hooks: Arc<impl Hooks>,
    ) -> Result<Summary, Ended> {
        self.run(Mode::Forever, hooks, stop.clone())
    }

    fn run(
        &self,
        mode: Mode,
        hooks: Arc<impl Hooks>,
        stop: CancellationToken,
    ) -> Result<Summary, Ended> {
        let daemon = self
            .daemon(stop)
            .with_observer(hooks.clone())
            .with_crash_plan(hooks);
        match self.finish(daemon.run_or_crash(mode)) {
            Ok(outcome) => outcome.map_err(Ended::Failed),
            Err(Crashed) => Err(Ended::Crashed),
        }
    }

    /// A daemon over the ports of this world.
    pub(crate) fn daemon(&self, stop: CancellationToken) -> Daemon {
        let scratch = Scratch::claim(&self.scratch()).unwrap();
        Daemon::new(self.ports.clone(), self.settings.clone(), scratch, stop)
    }

    /// Waits in a runtime of its own until a daemon ends.
    pub(crate) fn finish<T>(&self, daemon: impl Future<Output = T>) -> T {
        let runtime = self.process_runtime();
        let patient = async {
            tokio::time::timeout(PATIENCE, daemon)
                .await
                .expect("the daemon did not end")
        };
        dispatcher::with_default(&self.logs.dispatch(), || runtime.block_on(patient))
    }

    /// The folder with working copies.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// One thread where time stands still between the tasks' turns, several where it runs.
    fn process_runtime(&self) -> Runtime {
        let mut builder = match self.kind {
            Kind::Fakes => Builder::new_current_thread(),
            Kind::FakesInRealTime | Kind::Local => Builder::new_multi_thread(),
        };
        builder
            .worker_threads(2)
            .on_thread_start(self.logs.on_thread_start())
            .enable_all()
            .build()
            .unwrap()
    }
}

/// Runs `work` on a thread of its own, where it may wait: hooks are called inside a runtime.
pub(crate) fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}
