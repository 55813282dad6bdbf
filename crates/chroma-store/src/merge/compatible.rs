//! Checks that a delta's collection fits the base's. Their spaces may differ: vectors are the
//! user's own, and the base indexes them in its space, as an upsert of chromadb would.

use crate::{Collection, StoreError, StoreResult};

/// `dimension` is the base's current one: an earlier delta of the same merge may have set it.
///
/// # Errors
/// `DimensionMismatch`.
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
