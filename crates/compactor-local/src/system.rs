//! The real clock and real randomness. The only place of the local adapters that reads either.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use compactor_core::ports::{Clock, Ids, Monotonic, WallTime};
use uuid::Uuid;

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
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
        // A clock before 1970 counts as 1970.
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

/// Random identifiers.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter of the Ids port"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn fraction(&self) -> f64 {
        // The first 32 bits of a version 4 UUID are all random.
        f64::from(self.uuid().as_fields().0) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_passes() {
        let clock = SystemClock::new();
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.monotonic().0 >= monotonic.0 + Duration::from_millis(5));
        assert!(clock.wall() > wall && wall > WallTime(1_700_000_000_000_000));
    }

    #[test]
    fn ids_differ_and_fractions_are_fractions() {
        assert_ne!(RandomIds.uuid(), RandomIds.uuid());
        assert!((0..1000).all(|_| (0.0..1.0).contains(&RandomIds.fraction())));
    }
}
