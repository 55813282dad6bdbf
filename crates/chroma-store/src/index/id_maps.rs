//! `index_metadata.pickle`: which user id has which label.
//!
//! chromadb 0.x pickles an instance of a class, 1.x a plain dict; the pickle library reads both
//! and never runs anything.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_pickle::DeOptions;

use super::{bad, read_bounded};
use crate::StoreResult;

/// Enough for tens of millions of ids, little enough to be read whole.
const MAX_BYTES: u64 = 2 << 30;

/// The fields that chromadb relies on.
#[derive(Debug, Deserialize)]
pub(super) struct IdMaps {
    /// Labels given out so far; the next one is this plus one.
    pub(super) total_elements_added: u64,
    /// Progress, kept here only up to chromadb 0.5.5; stale whenever the table has a row.
    #[serde(default)]
    pub(super) max_seq_id: Option<u64>,
    id_to_label: HashMap<String, u64>,
    label_to_id: HashMap<u64, String>,
}

impl IdMaps {
    /// `None` when the file is missing or maps nothing.
    pub(super) fn read(path: &Path) -> StoreResult<Option<Self>> {
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let bytes = read_bounded(path, MAX_BYTES)?;
        let maps: Self = serde_pickle::from_slice(&bytes, DeOptions::new())
            .map_err(|error| bad(path, format!("not a pickle of id maps: {error}")))?;
        Ok((!maps.id_to_label.is_empty()).then_some(maps))
    }

    pub(super) fn len(&self) -> usize {
        self.id_to_label.len()
    }

    pub(super) fn label(&self, id: &str) -> Option<u64> {
        self.id_to_label.get(id).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.id_to_label.keys().map(String::as_str)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = u64> {
        self.id_to_label.values().copied()
    }

    /// Says if the two maps are not each other's inverse.
    pub(super) fn check(&self) -> Option<String> {
        let agree = self
            .id_to_label
            .iter()
            .filter(|(id, label)| self.label_to_id.get(label) == Some(id))
            .count();
        if agree == self.id_to_label.len() && agree == self.label_to_id.len() {
            return None;
        }
        Some(format!(
            "id_to_label has {} entries, label_to_id {}, {agree} agree",
            self.id_to_label.len(),
            self.label_to_id.len()
        ))
    }
}
