//! Deterministic doubles of the ports, in memory.
//!
//! They pass the same contract suites as the real adapters. They record every call, and fail on demand
//! before or after a call takes effect. Time passes only when a test lets it.

mod clock;
mod faults;
mod ids;
mod lease_store;
mod object_store;
mod queue;
mod run_store;

pub use clock::FakeClock;
pub use faults::{Call, Faults, Inject};
pub use ids::SeededIds;
pub use lease_store::FakeLeaseStore;
pub use object_store::FakeObjectStore;
pub use queue::{DeadMessage, FakeQueue};
pub use run_store::FakeRunStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

// A poisoned lock would hide the panic that is the reason of a test's failure.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
