//! The contract suites: what every implementation of a port must do, fake or real.
//!
//! Call a suite from a test: it panics at the first broken promise. Each needs a new, empty store or
//! queue, and waits by the [`Clock`] that it is given. Pass the clock that the implementation uses: an
//! auto [`FakeClock`](crate::fakes::FakeClock) where that is possible, a real one where the backend has
//! its own. No suite takes more than a minute of real time.

mod lease_store;
mod object_store;
mod queue;
mod run_store;

use std::time::Duration;

pub use lease_store::lease_store;
pub use object_store::object_store;
pub use queue::{queue, strict_queue};
pub use run_store::run_store;

use crate::ports::Clock;
use crate::{CollectionName, Lineage};

/// How many tasks race against each other.
const RACERS: usize = 16;

fn lineage(name: &str) -> Lineage {
    collection(name).into()
}

fn collection(name: &str) -> CollectionName {
    name.parse().expect("the suite's own names are valid")
}

/// Waits until `holds` is true, for promises that a backend keeps only after a while, such as the counts
/// of a queue.
async fn eventually(clock: &dyn Clock, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..50 {
        if holds().await {
            return;
        }
        clock.sleep(Duration::from_millis(200)).await;
    }
    assert!(holds().await, "never came true: {what}");
}
