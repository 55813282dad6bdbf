//! The values of one source of settings, and how they override those of an earlier source.

use config::{Map, Value, ValueKind};

use super::fault::Origin;

/// The settings of one source.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) values: Map<String, Value>,
    /// Each key that the source sets, and its place there.
    pub(super) origins: Vec<(String, Origin)>,
}

/// Adds `values` to `there`. Tables are merged; another value overrides the one that is there.
pub(super) fn merge(there: &mut Map<String, Value>, values: Map<String, Value>) {
    for (key, mut value) in values {
        if let (Some(known), ValueKind::Table(new)) = (there.get_mut(&key), &mut value.kind)
            && let ValueKind::Table(known) = &mut known.kind
        {
            merge(known, std::mem::take(new));
        } else {
            there.insert(key, value);
        }
    }
}
