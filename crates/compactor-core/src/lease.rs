//! Lease arithmetic: for how long a worker can be sure that it holds the lock.
//!
//! All of it uses the monotonic clock and counts from *before* the call that took the lock, so a slow
//! answer shortens the lease instead of stretching it. The lease saves work; the conditional swap keeps
//! the pointer safe.

use std::time::Duration;

use thiserror::Error;

use crate::time::Monotonic;

/// The holder of a lock that has not changed for this long counts as dead, whatever expiry the lock
/// states: a clock that was ahead may have written that expiry. Almost twice the longest lease of any
/// writer, which is 16 minutes.
pub const DEAD_HOLDER_AFTER: Duration = Duration::from_secs(30 * 60);

/// A holder that renews this often, and loses one renewal, still does not seem dead.
const RAREST_RENEWAL: Duration = Duration::from_secs(10 * 60);

/// The durations of a lease, checked so that a healthy holder never runs out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerm {
    term: Duration,
    renew_every: Duration,
    skew_margin: Duration,
    swap_budget: Duration,
}

/// Lease durations that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// A duration is zero that must not be.
    #[error("lease {name} must be longer than zero")]
    Zero {
        /// The name of the setting, without `lease.` in front.
        name: &'static str,
    },
    /// Renewals are so rare that one lost renewal would lose the lease.
    #[error("lease renew_every ({renew_every:?}) must be shorter than half the term ({term:?})")]
    RenewTooRare {
        /// `lease.renew_every` as configured.
        renew_every: Duration,
        /// `lease.term` as configured.
        term: Duration,
    },
    /// Renewals are so rare that a living holder would seem dead to other workers.
    #[error(
        "lease renew_every ({renew_every:?}) must be at most {RAREST_RENEWAL:?}: in DynamoDB a lock \
         that does not change for {DEAD_HOLDER_AFTER:?} is taken from its holder"
    )]
    SeemsDead {
        /// `lease.renew_every` as configured.
        renew_every: Duration,
    },
    /// Just before a renewal there would not be enough time left for a swap.
    #[error(
        "lease renew_every ({renew_every:?}) + skew_margin ({skew_margin:?}) + swap_budget \
         ({swap_budget:?}) must be shorter than the term ({term:?})"
    )]
    NoTimeToSwap {
        /// `lease.renew_every` as configured.
        renew_every: Duration,
        /// `lease.skew_margin` as configured.
        skew_margin: Duration,
        /// `lease.swap_budget` as configured.
        swap_budget: Duration,
        /// `lease.term` as configured.
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
    /// Checks the durations of a lease.
    ///
    /// * `term`: how long a lock lasts from each acquire or renewal.
    /// * `renew_every`: how long a holder waits between renewals.
    /// * `skew_margin`: how much earlier a holder takes its lease for expired, in case the clocks of
    ///   other machines run ahead.
    /// * `swap_budget`: how much of the lease must be left for a swap to begin.
    ///
    /// # Errors
    /// A duration other than `skew_margin` is zero, `renew_every` is not shorter than half the `term` or
    /// longer than ten minutes, or `renew_every`, `skew_margin` and `swap_budget` together are not
    /// shorter than the `term`.
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

    /// How long a lock lasts from each acquire or renewal.
    pub fn term(&self) -> Duration {
        self.term
    }

    /// How long a holder waits between renewals.
    pub fn renew_every(&self) -> Duration {
        self.renew_every
    }

    /// How much earlier than its lock a holder takes its lease for expired.
    pub fn skew_margin(&self) -> Duration {
        self.skew_margin
    }

    /// How much of the lease must be left for a swap to begin.
    pub fn swap_budget(&self) -> Duration {
        self.swap_budget
    }
}

/// A lease that this worker holds, measured by its own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    until: Monotonic,
    renew_at: Monotonic,
    swap_budget: Duration,
}

impl HeldLease {
    /// The lease after a successful acquire or renewal that began at `before_call`.
    pub fn granted(before_call: Monotonic, term: &LeaseTerm) -> Self {
        let after = |duration| Monotonic(before_call.0.saturating_add(duration));
        Self {
            until: after(term.term.saturating_sub(term.skew_margin)),
            renew_at: after(term.renew_every),
            swap_budget: term.swap_budget,
        }
    }

    /// The time until which no other worker can hold the lock.
    pub fn until(&self) -> Monotonic {
        self.until
    }

    /// How long no other worker can hold the lock from now on; zero if one may hold it already.
    pub fn remaining(&self, now: Monotonic) -> Duration {
        self.until.0.saturating_sub(now.0)
    }

    /// Whether enough of the lease is left to begin a swap.
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
    fn lease_durations_that_contradict_each_other_are_refused() {
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
    fn lease_counts_from_before_the_call_that_takes_it() {
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
        fn lease_has_time_for_a_swap_until_its_renewal_is_due(
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
