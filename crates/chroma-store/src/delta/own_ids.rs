//! What a delta's adds mean to the directory that it is merged into.
//!
//! chromadb logs an `add` of an id that the collection has and ignores it. A producer that adds to a
//! delta means the record to be in the snapshot, so only an id of the delta's own counts as known.

use std::collections::HashSet;

use crate::wal::{Operation, OperationKind};

/// The ids that exist in a delta at one place of its log.
#[derive(Debug, Default)]
pub(super) struct OwnIds(HashSet<String>);

impl OwnIds {
    /// Adds the id of a record that the delta has.
    pub(super) fn insert(&mut self, id: &str) {
        if !self.0.contains(id) {
            self.0.insert(id.to_owned());
        }
    }

    /// Turns the next operation of the delta's log into the one for the base: an add of an id that
    /// is new to the delta becomes an upsert.
    pub(super) fn for_base(&mut self, mut operation: Operation) -> Operation {
        match operation.kind {
            OperationKind::Add if !self.0.contains(&operation.id) => {
                operation.kind = OperationKind::Upsert;
                self.insert(&operation.id);
            }
            OperationKind::Upsert => self.insert(&operation.id),
            OperationKind::Delete => drop(self.0.remove(&operation.id)),
            OperationKind::Add | OperationKind::Update => {}
        }
        operation
    }
}
