//! Whether a delta's collection fits the base's. Its space need not: vectors are the users' own,
//! and are indexed in the base's space, as chromadb's own upsert would.

use crate::{Collection, StoreError, StoreResult};

/// `dimension` is the base's as it is now: an earlier delta of the same merge may have set it.
pub(super) fn check(
    dimension: Option<u32>,
    base: &Collection,
    delta: &Collection,
) -> StoreResult<()> {
    if let (Some(base_dimension), Some(delta_dimension)) = (dimension, delta.dimension)
        && base_dimension != delta_dimension
    {
        return Err(StoreError::DimensionMismatch {
            collection: base.name.to_string(),
            base: base_dimension,
            delta: delta_dimension,
        });
    }
    Ok(())
}
