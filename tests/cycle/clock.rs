//! A clock that runs like the machine's and can be set ahead, so that leases and visibility end
//! when a test says so and not a moment earlier.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{Clock, Monotonic, WallTime};
use compactor_local::SystemClock;

#[derive(Debug, Default)]
pub(crate) struct AheadClock {
    machine: SystemClock,
    ahead: Mutex<Duration>,
}

impl AheadClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap() += by;
    }

    fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap()
    }
}

#[async_trait]
impl Clock for AheadClock {
    fn wall(&self) -> WallTime {
        self.machine.wall().plus(self.ahead())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.machine.monotonic().0 + self.ahead())
    }

    /// Setting the clock ahead does not wake a task that sleeps already.
    async fn sleep(&self, duration: Duration) {
        self.machine.sleep(duration).await;
    }
}
