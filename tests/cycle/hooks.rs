//! What a test does at the boundaries between steps: crash the daemon, stop it, or let something else happen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use compactor_daemon::CrashPlan;
use compactor_snapshots::{Observed, Observer, Step};
use tokio_util::sync::CancellationToken;

/// What becomes of the daemon at a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    GoesOn,
    Crashes,
}

type Act = Box<dyn FnMut(Step, usize) -> Fate + Send>;

/// Runs a closure at every boundary and keeps a diary. The closure gets the step, and how often
/// that step was reached before.
pub(crate) struct Script {
    act: Mutex<Act>,
    seen: Mutex<Vec<Step>>,
    crashes: AtomicBool,
}

impl Script {
    pub(crate) fn new(act: impl FnMut(Step, usize) -> Fate + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            act: Mutex::new(Box::new(act)),
            seen: Mutex::default(),
            crashes: AtomicBool::new(false),
        })
    }

    /// Only the diary.
    pub(crate) fn watch() -> Arc<Self> {
        Self::new(|_, _| Fate::GoesOn)
    }

    /// Ends the process the first time `at` is reached.
    pub(crate) fn kill_at(at: Step) -> Arc<Self> {
        Self::new(move |step, before| match step == at && before == 0 {
            true => Fate::Crashes,
            false => Fate::GoesOn,
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
            Fate::GoesOn
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

    /// Does what the script does at a step.
    pub(crate) fn reach(&self, step: Step) -> Fate {
        let before = self.count(step);
        self.seen.lock().unwrap().push(step);
        (self.act.lock().unwrap())(step, before)
    }
}

impl Observer for Script {
    fn observe(&self, observed: &Observed<'_>) {
        if self.reach(observed.step) == Fate::Crashes {
            self.crashes.store(true, Ordering::SeqCst);
        }
    }
}

impl CrashPlan for Script {
    fn crashes(&self) -> bool {
        self.crashes.load(Ordering::SeqCst)
    }
}
