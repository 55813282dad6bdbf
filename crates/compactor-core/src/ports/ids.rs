//! Identifiers and randomness as the domain sees them.

use uuid::Uuid;

/// The source of identifiers and of jitter.
pub trait Ids: Send + Sync {
    /// A fresh random (version 4) UUID.
    fn uuid(&self) -> Uuid;
    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64;
}
