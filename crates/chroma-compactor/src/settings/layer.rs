//! The values of one source of settings, and how a later source's values go over an earlier one's.

use config::{Map, Value, ValueKind};

use super::fault::Origin;

/// What one source sets.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) values: Map<String, Value>,
    /// Who set each key.
    pub(super) origins: Vec<(String, Origin)>,
}

/// Adds `values` to those that are there; the new ones win.
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
