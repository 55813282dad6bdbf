//! How long to wait before trying again.

use std::time::Duration;

/// Exponential backoff with jitter: waits that double from `first` up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait of all.
    pub max: Duration,
}

impl Backoff {
    /// The wait after failed attempt number `attempt` (0 is the first): from half of `first · 2^attempt`
    /// to the whole, at most `max`. `fraction` in `0.0..1.0` chooses where in between, so that workers
    /// that failed together do not retry together.
    pub fn delay(&self, attempt: u32, fraction: f64) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.max);
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            1.0
        };
        whole.mul_f64(0.5 + fraction / 2.0).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };

    #[test]
    fn retry_delay_doubles_up_to_its_limit() {
        let millis: Vec<_> = (0..8)
            .map(|attempt| BACKOFF.delay(attempt, 1.0).as_millis())
            .collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.delay(0, 0.0), Duration::from_millis(50));
    }

    proptest! {
        #[test]
        fn retry_delay_lies_between_half_of_first_and_max(
            attempt in any::<u32>(),
            fraction in prop_oneof![0.0..1.0, any::<f64>()],
        ) {
            let delay = BACKOFF.delay(attempt, fraction);
            prop_assert!(delay >= BACKOFF.first / 2 && delay <= BACKOFF.max);
        }

        #[test]
        fn retry_delay_with_extreme_limits_does_not_panic(attempt in any::<u32>(), fraction in 0.0..1.0) {
            let backoff = Backoff { first: Duration::MAX, max: Duration::from_secs(1 << 40) };
            prop_assert!(backoff.delay(attempt, fraction) <= backoff.max);
        }
    }
}
