//! The fence of a lease, which orders the writers of a collection.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value of a collection's fence counter, 1 at first. Each later holder of the lease has a greater
/// one, and stamps it into manifest and pointer, so that readers see which of two writers came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
