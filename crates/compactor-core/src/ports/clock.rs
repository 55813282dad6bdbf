//! Time as the domain sees it. Only adapters may read a real clock.

use std::time::Duration;

use async_trait::async_trait;

use crate::time::{Monotonic, WallTime};

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
