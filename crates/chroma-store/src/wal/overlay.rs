//! The effect of log rows on the vectors of an index that does not contain them.

use std::collections::HashMap;

use super::OperationKind;

/// The last change of each id that the log changed: a vector, or `None` for a deletion.
#[derive(Debug)]
pub(crate) struct Overlay<V> {
    changes: HashMap<String, Change<V>>,
    /// Number of rows so far.
    rows: u64,
}

#[derive(Debug)]
struct Change<V> {
    /// The row that made the change.
    row: u64,
    vector: Option<V>,
}

impl<V> Default for Overlay<V> {
    fn default() -> Self {
        Self {
            changes: HashMap::new(),
            rows: 0,
        }
    }
}

impl<V> Overlay<V> {
    /// Adds the next row. `indexed` says which ids the index has.
    pub(crate) fn apply(
        &mut self,
        kind: OperationKind,
        id: String,
        vector: Option<V>,
        indexed: impl Fn(&str) -> bool,
    ) {
        self.rows += 1;
        let exists = match self.changes.get(&id) {
            Some(known) => known.vector.is_some(),
            None => indexed(&id),
        };
        let ignored = match kind {
            OperationKind::Delete => false,
            OperationKind::Add => exists || vector.is_none(),
            OperationKind::Update => !exists || vector.is_none(),
            OperationKind::Upsert => vector.is_none(),
        };
        if !ignored {
            let row = self.rows;
            let vector = vector.filter(|_| kind != OperationKind::Delete);
            self.changes.insert(id, Change { row, vector });
        }
    }

    /// The change of an id: its vector, or `Some(None)` for a deletion. `None` if the log does not
    /// change it.
    pub(crate) fn get(&self, id: &str) -> Option<Option<&V>> {
        self.changes.get(id).map(|change| change.vector.as_ref())
    }

    /// Whether the log changes an id.
    pub(crate) fn changes(&self, id: &str) -> bool {
        self.changes.contains_key(id)
    }

    /// How many ids have a vector after the changes.
    pub(crate) fn vectors(&self) -> usize {
        self.changes
            .values()
            .filter(|change| change.vector.is_some())
            .count()
    }

    /// The changed ids, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.changes.keys().map(String::as_str)
    }

    /// All changes in the order of the log, so that the same input gives the same index.
    pub(crate) fn into_changes(self) -> impl Iterator<Item = (String, Option<V>)> {
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        changes.sort_unstable_by_key(|(_, change)| change.row);
        changes.into_iter().map(|(id, change)| (id, change.vector))
    }
}
