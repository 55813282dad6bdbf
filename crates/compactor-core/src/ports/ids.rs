//! Identifiers and randomness as the domain sees them.

use uuid::Uuid;

/// The source of identifiers and of jitter. Production code must not draw random numbers elsewhere.
pub trait Ids: Send + Sync {
    /// A random UUID (version 4) that no other call returns, in this process or another.
    fn uuid(&self) -> Uuid;
    /// A number in `0.0..1.0`, evenly distributed, for jitter.
    fn fraction(&self) -> f64;
}
