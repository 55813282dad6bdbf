//! Lease arithmetic: how long a lock is surely still ours.
//!
//! All on the monotonic clock and always from *before* the call that took the lock, so a slow
//! answer shortens the lease instead of stretching it. The lease saves work; it is the conditional
//! swap that keeps the pointer safe.

use std::time::Duration;

use thiserror::Error;

use crate::time::Monotonic;

/// A lock in which nothing changed for so long is taken from its holder, whose clock may have been
/// ahead when it told the end. Almost twice the longest lease of any writer, which is 16 minutes.
pub const DEAD_HOLDER_AFTER: Duration = Duration::from_secs(30 * 60);

/// Who renews as often as this is heard in time when one renewal is lost.
const RAREST_RENEWAL: Duration = Duration::from_secs(10 * 60);

/// How leases are taken, checked so that a healthy holder never runs out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerm {
    term: Duration,
    renew_every: Duration,
    skew_margin: Duration,
    swap_budget: Duration,
}

/// Lease settings that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// A duration that must not be zero is.
    #[error("lease {name} must be longer than zero")]
    Zero {
        /// Which one.
        name: &'static str,
    },
    /// One lost renewal must not lose the lease.
    #[error("lease renew_every ({renew_every:?}) must be shorter than half the term ({term:?})")]
    RenewTooRare {
        /// As set.
        renew_every: Duration,
        /// As set.
        term: Duration,
    },
    /// A living holder must not look dead.
    #[error(
        "lease renew_every ({renew_every:?}) must be at most {RAREST_RENEWAL:?}: in DynamoDB a lock \
         that does not change for {DEAD_HOLDER_AFTER:?} is taken from its holder"
    )]
    SeemsDead {
        /// As set.
        renew_every: Duration,
    },
    /// Just before a renewal there must be time for a swap.
    #[error(
        "lease renew_every ({renew_every:?}) + skew_margin ({skew_margin:?}) + swap_budget \
         ({swap_budget:?}) must be shorter than the term ({term:?})"
    )]
    NoTimeToSwap {
        /// As set.
        renew_every: Duration,
        /// As set.
        skew_margin: Duration,
        /// As set.
        swap_budget: Duration,
        /// As set.
        term: Duration,
    },
}

impl LeaseError {
    /// The stable code of this error, `CC-LEASE-...`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Zero { .. } => "CC-LEASE-ZERO",
            Self::RenewTooRare { .. } => "CC-LEASE-RENEW",
            Self::SeemsDead { .. } => "CC-LEASE-SILENT",
            Self::NoTimeToSwap { .. } => "CC-LEASE-SWAP",
        }
    }
}

impl LeaseTerm {
    /// Checks and keeps the settings.
    ///
    /// * `term`: for how long the lock is asked for.
    /// * `renew_every`: how often a holder renews it.
    /// * `skew_margin`: taken off our own view of the end, for clocks of others that run fast.
    /// * `swap_budget`: what must remain before a swap may begin.
    pub fn new(
        term: Duration,
        renew_every: Duration,
        skew_margin: Duration,
        swap_budget: Duration,
    ) -> Result<Self, LeaseError> {
        for (name, value) in [
            ("term", term),
            ("renew_every", renew_every),
            ("swap_budget", swap_budget),
        ] {
            if value.is_zero() {
                return Err(LeaseError::Zero { name });
            }
        }
        if renew_every >= term / 2 {
            return Err(LeaseError::RenewTooRare { renew_every, term });
        }
        if renew_every > RAREST_RENEWAL {
            return Err(LeaseError::SeemsDead { renew_every });
        }
        let needed = renew_every
            .saturating_add(skew_margin)
            .saturating_add(swap_budget);
        if needed >= term {
            return Err(LeaseError::NoTimeToSwap {
                renew_every,
                skew_margin,
                swap_budget,
                term,
            });
        }
        Ok(Self {
            term,
            renew_every,
            skew_margin,
            swap_budget,
        })
    }

    /// For how long the lock is asked for.
    pub fn term(&self) -> Duration {
        self.term
    }

    /// How often a holder renews it.
    pub fn renew_every(&self) -> Duration {
        self.renew_every
    }

    /// What is taken off our own view of the end.
    pub fn skew_margin(&self) -> Duration {
        self.skew_margin
    }

    /// What must remain before a swap may begin.
    pub fn swap_budget(&self) -> Duration {
        self.swap_budget
    }
}

/// A lease we were given, by our own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    until: Monotonic,
    renew_at: Monotonic,
    swap_budget: Duration,
}

impl HeldLease {
    /// A lease granted or renewed by a call that began at `before_call`.
    pub fn granted(before_call: Monotonic, term: &LeaseTerm) -> Self {
        let after = |duration| Monotonic(before_call.0.saturating_add(duration));
        Self {
            until: after(term.term.saturating_sub(term.skew_margin)),
            renew_at: after(term.renew_every),
            swap_budget: term.swap_budget,
        }
    }

    /// Until when it is surely ours.
    pub fn until(&self) -> Monotonic {
        self.until
    }

    /// For how long it is surely still ours; zero if it may be another's.
    pub fn remaining(&self, now: Monotonic) -> Duration {
        self.until.0.saturating_sub(now.0)
    }

    /// Whether there is time to begin a swap.
    pub fn may_swap(&self, now: Monotonic) -> bool {
        self.remaining(now) >= self.swap_budget
    }

    /// Whether it is time to renew.
    pub fn renew_due(&self, now: Monotonic) -> bool {
        now >= self.renew_at
    }

    /// How long to wait until it is time to renew.
    pub fn until_renewal(&self, now: Monotonic) -> Duration {
        self.renew_at.0.saturating_sub(now.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn at(s: u64) -> Monotonic {
        Monotonic(secs(s))
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let code = |term, renew, skew, budget| {
            let term = LeaseTerm::new(secs(term), secs(renew), secs(skew), secs(budget));
            term.map_or_else(|error| error.code(), |_| "valid")
        };
        assert_eq!(code(180, 30, 5, 20), "valid");
        assert_eq!(code(180, 89, 50, 40), "valid");
        assert_eq!(code(0, 30, 5, 20), "CC-LEASE-ZERO");
        assert_eq!(code(180, 0, 5, 20), "CC-LEASE-ZERO");
        assert_eq!(code(180, 30, 5, 0), "CC-LEASE-ZERO");
        assert_eq!(code(180, 90, 5, 20), "CC-LEASE-RENEW");
        assert_eq!(code(3600, 600, 5, 20), "valid");
        assert_eq!(code(3600, 601, 5, 20), "CC-LEASE-SILENT");
        assert_eq!(code(180, 89, 51, 40), "CC-LEASE-SWAP");
        assert_eq!(code(180, 30, u64::MAX, 20), "CC-LEASE-SWAP");
    }

    #[test]
    fn the_lease_counts_from_before_the_call() {
        let term = LeaseTerm::new(secs(180), secs(30), secs(5), secs(20)).unwrap();
        let lease = HeldLease::granted(at(100), &term);
        assert_eq!(lease.until(), at(275));
        assert_eq!(lease.remaining(at(100)), secs(175));
        assert_eq!(lease.remaining(at(276)), secs(0));
        assert!(lease.may_swap(at(255)) && !lease.may_swap(at(256)));
        assert!(!lease.renew_due(at(129)) && lease.renew_due(at(130)));
        assert_eq!(lease.until_renewal(at(110)), secs(20));
    }

    proptest! {
        #[test]
        fn until_a_renewal_is_due_there_is_time_to_swap(
            term in 1u64..10_000,
            renew in 0u64..10_000,
            skew in 0u64..10_000,
            budget in 0u64..10_000,
            start in 0u64..1_000_000,
        ) {
            if let Ok(term) = LeaseTerm::new(secs(term), secs(renew), secs(skew), secs(budget)) {
                let lease = HeldLease::granted(at(start), &term);
                prop_assert!(lease.may_swap(at(start + renew)));
            }
        }
    }
}
