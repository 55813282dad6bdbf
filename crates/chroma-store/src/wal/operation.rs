//! One entry of the log.

use crate::records::MetadataValue;

/// What an operation does to the record with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Insert; ignored if the id exists.
    Add,
    /// Merge into the record; ignored if the id does not exist.
    Update,
    /// Insert or merge.
    Upsert,
    /// Remove; ignored if the id does not exist.
    Delete,
}

impl OperationKind {
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Add => 0,
            Self::Update => 1,
            Self::Upsert => 2,
            Self::Delete => 3,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        [Self::Add, Self::Update, Self::Upsert, Self::Delete]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Keys to set, and keys to delete (`None`). Document and uri are the reserved keys.
pub type Patch = Vec<(String, Option<MetadataValue>)>;

/// One operation on one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What to do.
    pub kind: OperationKind,
    /// The record's id.
    pub id: String,
    /// The vector, little-endian f32 as the user gave it (not normalised); `None` leaves it.
    pub vector: Option<Vec<u8>>,
    /// Changes to metadata, document and uri.
    pub patch: Patch,
}

impl Operation {
    /// An upsert of a whole record.
    pub fn upsert(id: impl Into<String>, vector: &[f32], patch: Patch) -> Self {
        let vector = Some(
            vector
                .iter()
                .flat_map(|element| element.to_le_bytes())
                .collect(),
        );
        Self {
            kind: OperationKind::Upsert,
            id: id.into(),
            vector,
            patch,
        }
    }

    /// A deletion.
    pub fn delete(id: impl Into<String>) -> Self {
        Self {
            kind: OperationKind::Delete,
            id: id.into(),
            vector: None,
            patch: Patch::new(),
        }
    }
}
