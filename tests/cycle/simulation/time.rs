//! Time as all machines share it, and as each of them sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{Clock, Monotonic, WallTime};
use tokio::time::Instant;

use super::machine::Machine;

/// 2026-11-21T00:00:00Z.
const START: i64 = 1_795_219_200_000_000;

/// Time on a runtime that was started paused: it jumps to the next timer when no task has anything
/// to do.
#[derive(Debug)]
pub(crate) struct TrueTime {
    origin: Instant,
}

impl TrueTime {
    /// Only inside such a runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.origin)
    }
}

#[async_trait]
impl Clock for TrueTime {
    fn wall(&self) -> WallTime {
        WallTime(START).plus(self.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A machine's clock: its wall clock may be set, and it sleeps on while the machine is paused.
pub(crate) struct MachineClock {
    pub(crate) machine: Arc<Machine>,
    pub(crate) time: Arc<TrueTime>,
    /// Microseconds.
    pub(crate) ahead: Arc<AtomicI64>,
}

#[async_trait]
impl Clock for MachineClock {
    fn wall(&self) -> WallTime {
        WallTime(self.time.wall().0 + self.ahead.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Monotonic {
        self.time.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.time.sleep(duration).await;
        self.machine.awake().await;
    }
}
