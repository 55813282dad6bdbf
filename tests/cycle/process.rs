//! A daemon as a process: it has a runtime of its own, and when it is killed nothing of it lives
//! on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use compactor_daemon::cycle::{NoHooks, StepHooks};
use compactor_daemon::{Daemon, Mode, RunError, Scratch, Summary};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::dispatcher;

use crate::world::{Kind, World};

/// A daemon that never ends is a failed test, not one that hangs.
const PATIENCE: Duration = Duration::from_secs(300);

impl World {
    /// Runs a daemon until the queue is empty.
    pub(crate) fn drain(&self) -> Summary {
        self.drain_with(Arc::new(NoHooks)).unwrap()
    }

    /// Runs a daemon with hooks until the queue is empty, or until they kill it.
    pub(crate) fn drain_with(&self, hooks: Arc<dyn StepHooks>) -> Result<Summary, RunError> {
        self.run(Mode::Drain, hooks, CancellationToken::new())
    }

    /// Runs a daemon until `stop` is cancelled.
    pub(crate) fn run_until(
        &self,
        stop: &CancellationToken,
        hooks: Arc<dyn StepHooks>,
    ) -> Result<Summary, RunError> {
        self.run(Mode::Forever, hooks, stop.clone())
    }

    fn run(
        &self,
        mode: Mode,
        hooks: Arc<dyn StepHooks>,
        stop: CancellationToken,
    ) -> Result<Summary, RunError> {
        let runtime = self.process_runtime();
        let scratch = Scratch::claim(&self.scratch()).unwrap();
        let daemon = Daemon::new(self.ports.clone(), self.settings.clone(), scratch, stop)
            .with_hooks(hooks)
            .run(mode);
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
