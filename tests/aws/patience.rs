//! Waiting for what should come soon, but not for ever.

use std::fmt::Debug;
use std::time::Duration;

use compactor_core::ports::{Clock, Monotonic};
use compactor_local::SystemClock;

/// Far longer than anything waited for takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Patience that began when this was made.
pub(crate) struct Patience {
    clock: SystemClock,
    began: Monotonic,
}

impl Patience {
    pub(crate) fn new() -> Self {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        Self { clock, began }
    }

    /// Waits a moment; fails the test, which is told what there was instead, when patience has run
    /// out.
    #[track_caller]
    pub(crate) fn wait(&self, instead: &dyn Debug) {
        let waited = self.clock.monotonic().0.saturating_sub(self.began.0);
        assert!(waited < PATIENCE, "{instead:?}");
        std::thread::yield_now();
    }
}
