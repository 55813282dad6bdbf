//! Dead holders of locks.
//!
//! The holder's clock determines `expires`. If that clock was ahead when its machine died, the lock would
//! last for as long. So a worker that waits for a lock also measures, by its own monotonic clock, how
//! long the lock has not changed: a living holder renews it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use compactor_core::lease::DEAD_HOLDER_AFTER;
use compactor_core::ports::Monotonic;

use crate::attribute_values::{Item, text_of};

/// The holder of a lock, as the item describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) owner: String,
    /// `None` if the item has no such text, because a writer crashed half-way or an operator edited it.
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

/// The locks that were found held, each with the time since which it has not changed.
#[derive(Debug, Default)]
pub(super) struct WatchedLocks(Mutex<BTreeMap<String, (Holder, Monotonic)>>);

impl WatchedLocks {
    /// Notes the present holder of a lock. Returns whether the lock has stayed the same for so long that its
    /// holder is dead.
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

    /// Stops watching a lock that has a new holder.
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
            owner: "owner".to_owned(),
            expires: Some(expires.to_owned()),
        }
    }

    #[test]
    fn holder_seems_dead_once_its_lock_is_unchanged_for_half_an_hour() {
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
