//! Time as the domain sees it. Only adapters may read a real clock.

use std::time::Duration;

use async_trait::async_trait;

/// Wall-clock time in microseconds since the Unix epoch, UTC.
///
/// For names and records only. Lease arithmetic uses [`Monotonic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// Time since an arbitrary fixed origin; never goes back. For leases, deadlines and durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

/// The source of time and the only way to wait.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall-clock time now.
    fn wall(&self) -> WallTime;
    /// Monotonic time now.
    fn monotonic(&self) -> Monotonic;
    /// Waits for `duration`. Safe to cancel.
    async fn sleep(&self, duration: Duration);
}
