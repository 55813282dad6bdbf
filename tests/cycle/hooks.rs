//! What a test does at the boundaries between steps: kill, stop, or let something else happen.

use std::sync::{Arc, Mutex};

use compactor_core::CollectionName;
use compactor_daemon::RunError;
use compactor_daemon::cycle::{Step, StepHooks};
use tokio_util::sync::CancellationToken;

type Act = Box<dyn FnMut(Step, usize) -> Result<(), RunError> + Send>;

/// Runs a closure at every boundary and keeps a diary. The closure gets the step, and how often
/// that step was reached before.
pub(crate) struct Script {
    act: Mutex<Act>,
    seen: Mutex<Vec<Step>>,
}

impl Script {
    pub(crate) fn new(
        act: impl FnMut(Step, usize) -> Result<(), RunError> + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            act: Mutex::new(Box::new(act)),
            seen: Mutex::default(),
        })
    }

    /// Only the diary.
    pub(crate) fn watch() -> Arc<Self> {
        Self::new(|_, _| Ok(()))
    }

    /// Ends the process the first time `at` is reached.
    pub(crate) fn kill_at(at: Step) -> Arc<Self> {
        Self::new(move |step, before| {
            if step == at && before == 0 {
                return Err(RunError::Killed { step: step.name() });
            }
            Ok(())
        })
    }

    /// Does `once` the first time `at` is reached.
    pub(crate) fn at(at: Step, once: impl FnOnce() + Send + 'static) -> Arc<Self> {
        let mut once = Some(once);
        Self::new(move |step, _| {
            if step == at
                && let Some(once) = once.take()
            {
                once();
            }
            Ok(())
        })
    }

    /// Asks the daemon to stop the first time `at` is reached.
    pub(crate) fn stop_at(at: Step, stop: &CancellationToken) -> Arc<Self> {
        let stop = stop.clone();
        Self::at(at, move || stop.cancel())
    }

    pub(crate) fn count(&self, step: Step) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| **seen == step).count()
    }
}

impl StepHooks for Script {
    fn reached(&self, step: Step, _: &CollectionName) -> Result<(), RunError> {
        let before = self.count(step);
        self.seen.lock().unwrap().push(step);
        (self.act.lock().unwrap())(step, before)
    }
}
