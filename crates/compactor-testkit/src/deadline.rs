//! Waiting for what should happen soon, with a limit.

use std::fmt::Debug;
use std::time::Duration;

use compactor_core::ports::{Clock, Monotonic};
use compactor_local::SystemClock;

/// Far longer than anything that tests wait for.
const LONG: Duration = Duration::from_secs(120);

/// A moment, by the monotonic clock, until which a test waits.
pub struct Deadline {
    clock: SystemClock,
    until: Monotonic,
}

impl Deadline {
    /// In two minutes.
    pub fn in_two_minutes() -> Self {
        Self::after(LONG)
    }

    /// After `time`, which begins now.
    pub fn after(time: Duration) -> Self {
        let clock = SystemClock::new();
        let until = Monotonic(clock.monotonic().0 + time);
        Self { clock, until }
    }

    /// Whether the moment is still to come.
    pub fn is_ahead(&self) -> bool {
        self.clock.monotonic() < self.until
    }

    /// Yields to other threads. Fails the test, with what it found `instead`, if the deadline has
    /// passed.
    #[track_caller]
    pub fn wait(&self, instead: &dyn Debug) {
        assert!(self.is_ahead(), "{instead:?}");
        std::thread::yield_now();
    }
}
