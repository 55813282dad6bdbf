//! Time as the domain sees it. Only adapters read a real clock.

use std::time::Duration;

use async_trait::async_trait;

use crate::time::{Monotonic, WallTime};

/// The source of time, and the only way to wait. Production code must not ask the system for either.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of day now. It jumps when an operator or a time server sets the machine's clock, so
    /// no duration may be computed from it.
    fn wall(&self) -> WallTime;
    /// Time since this clock's own fixed origin. It never goes back, and two clocks have different
    /// origins: compare only values of one clock.
    fn monotonic(&self) -> Monotonic;
    /// Waits for `duration` by the monotonic time. Dropping the future ends the wait and has no other
    /// effect.
    async fn sleep(&self, duration: Duration);
}
