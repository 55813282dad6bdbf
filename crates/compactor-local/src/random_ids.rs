//! Real randomness. No other module of the local adapters makes random numbers.

use compactor_core::ports::Ids;
use uuid::Uuid;

/// Random identifiers and jitter from the system's source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter of the Ids port"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn fraction(&self) -> f64 {
        // The first 32 bits of a version 4 UUID are all random.
        f64::from(self.uuid().as_fields().0) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_differ_and_fractions_are_below_1() {
        assert_ne!(RandomIds.uuid(), RandomIds.uuid());
        assert!((0..1000).all(|_| (0.0..1.0).contains(&RandomIds.fraction())));
    }
}
