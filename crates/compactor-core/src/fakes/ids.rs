//! The double of the port `Ids`: the same identifiers in every run of a test.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::{Builder, Uuid};

use crate::ports::Ids;

/// Identifiers and fractions from a seed, by splitmix64.
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SeededIds {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Ids for SeededIds {
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        Builder::from_random_bytes(bytes).into_uuid()
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_gives_the_same_ids_without_repeats() {
        let take = |seed| {
            let ids = SeededIds::new(seed);
            (0..1000).map(|_| ids.uuid()).collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        assert_eq!(
            take(1)
                .iter()
                .collect::<std::collections::HashSet<_>>()
                .len(),
            1000
        );
        assert!(take(1).iter().all(|id| id.get_version_num() == 4));
    }

    #[test]
    fn fake_fraction_is_at_least_0_and_less_than_1() {
        let ids = SeededIds::new(7);
        assert!(
            (0..1000)
                .map(|_| ids.fraction())
                .all(|f| (0.0..1.0).contains(&f))
        );
    }
}
