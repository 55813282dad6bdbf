//! The real clock. No other module of the local adapters reads one.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use compactor_core::ports::{Clock, Monotonic, WallTime};

/// The wall clock and the monotonic clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time is zero now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter of the Clock port"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter of the Clock port"
    )]
    fn wall(&self) -> WallTime {
        // A machine whose clock is before 1970 counts as in 1970.
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        WallTime(0).plus(since)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter of the Clock port"
    )]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn system_clock_advances_in_both_times() {
        let clock = SystemClock::new();
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.monotonic().0 >= monotonic.0 + Duration::from_millis(5));
        assert!(clock.wall() > wall && wall > WallTime(1_700_000_000_000_000));
    }
}
