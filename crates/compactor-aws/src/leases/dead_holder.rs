//! Locks whose holder gives no sign of life.
//!
//! `expires` is told by the holder's clock. If that was ahead when its machine died, the lock would
//! hold for as long. So who waits for a lock also looks, by its own stopwatch, for how long nothing
//! in it has changed: holders renew theirs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use compactor_core::lease::DEAD_HOLDER_AFTER;
use compactor_core::ports::Monotonic;

use crate::attribute_values::{Item, text_of};

/// What a lock said of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) owner: String,
    /// None where the lock has no such text: a writer that crashed half-way, or a hand.
    pub(super) expires: Option<String>,
}

impl Holder {
    pub(super) fn of(lock: &Item) -> Self {
        Self {
            owner: text_of(lock, "owner").unwrap_or_default().to_owned(),
            expires: text_of(lock, "expires").map(str::to_owned),
        }
    }
}

/// The locks that were found held, and since when they say the same.
#[derive(Debug, Default)]
pub(super) struct WatchedLocks(Mutex<BTreeMap<String, (Holder, Monotonic)>>);

impl WatchedLocks {
    /// Notes what a lock says now. Whether it has said so for too long.
    pub(super) fn seems_dead(&self, lock: &str, holder: &Holder, now: Monotonic) -> bool {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match watched.get(lock) {
            Some((seen, since)) if seen == holder => {
                now.0.saturating_sub(since.0) >= DEAD_HOLDER_AFTER
            }
            _ => {
                watched.insert(lock.to_owned(), (holder.clone(), now));
                false
            }
        }
    }

    /// The lock is in other hands now, or in ours.
    pub(super) fn forget(&self, lock: &str) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.remove(lock);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn holder(expires: &str) -> Holder {
        Holder {
            owner: "somebody".to_owned(),
            expires: Some(expires.to_owned()),
        }
    }

    #[test]
    fn holder_seems_dead_once_its_lock_stays_the_same_for_half_an_hour() {
        let watched = WatchedLocks::default();
        let minutes = |count: u64| Monotonic(Duration::from_secs(60 * count));
        assert!(!watched.seems_dead("lock", &holder("a"), minutes(0)));
        assert!(!watched.seems_dead("lock", &holder("a"), minutes(29)));
        assert!(
            !watched.seems_dead("lock", &holder("b"), minutes(30)),
            "it was renewed"
        );
        assert!(!watched.seems_dead("other", &holder("b"), minutes(60)));
        assert!(watched.seems_dead("lock", &holder("b"), minutes(60)));
        watched.forget("lock");
        assert!(!watched.seems_dead("lock", &holder("b"), minutes(61)));
    }
}
