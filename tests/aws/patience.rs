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
    until: Monotonic,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self::of(PATIENCE)
    }

    /// For so long.
    pub(crate) fn of(time: Duration) -> Self {
        let clock = SystemClock::new();
        let until = Monotonic(clock.monotonic().0 + time);
        Self { clock, until }
    }

    pub(crate) fn is_left(&self) -> bool {
        self.clock.monotonic() < self.until
    }

    /// Waits a moment; fails the test, which is told what there was instead, when patience has run
    /// out.
    #[track_caller]
    pub(crate) fn wait(&self, instead: &dyn Debug) {
        assert!(self.is_left(), "{instead:?}");
        std::thread::yield_now();
    }
}
