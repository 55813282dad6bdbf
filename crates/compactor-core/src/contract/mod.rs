//! The contract suites: what every implementation of a port must do, fake or real.
//!
//! A suite panics at the first promise that is broken, as a test does; run it from a test. It wants
//! a fresh, empty store or queue. Time passes through the [`Clock`] it is
//! given: hand it the clock the implementation lives on, an auto
//! [`FakeClock`](crate::fakes::FakeClock) where that is possible and a real one where the backend
//! has its own. No suite needs more than a minute of real time.

mod lease_store;
mod object_store;
mod queue;
mod run_store;

use std::time::Duration;

pub use lease_store::lease_store;
pub use object_store::object_store;
pub use queue::{queue, strict_queue};
pub use run_store::run_store;

use crate::CollectionName;
use crate::ports::Clock;

/// How many tasks race each other.
const RACERS: usize = 16;

fn collection(name: &str) -> CollectionName {
    name.parse().expect("the suite's own names are valid")
}

/// Waits for what a backend promises only eventually, such as counts of a queue.
async fn eventually(clock: &dyn Clock, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..50 {
        if holds().await {
            return;
        }
        clock.sleep(Duration::from_millis(200)).await;
    }
    assert!(holds().await, "never came true: {what}");
}
