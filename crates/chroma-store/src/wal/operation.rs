//! Operations, as the log has them.

use crate::records::MetadataValue;

/// What an operation does to the record with its id. The codes are those of the column `operation`,
/// 0 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Insert the record; no effect if the id exists.
    Add,
    /// Change the given fields of the record; no effect if the id does not exist.
    Update,
    /// Insert the record, or change the given fields if the id exists.
    Upsert,
    /// Remove the record; no effect if the id does not exist.
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

/// Metadata keys with their new values; `None` deletes the key. The reserved keys
/// [`DOCUMENT_KEY`](crate::DOCUMENT_KEY) and [`URI_KEY`](crate::URI_KEY) stand for document and
/// uri.
pub type Patch = Vec<(String, Option<MetadataValue>)>;

/// An operation on one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What the operation does.
    pub kind: OperationKind,
    /// The user's id of the record.
    pub id: String,
    /// The vector as the user gave it, not normalised: little-endian f32, four bytes per element.
    /// `None` leaves the old one.
    pub vector: Option<Vec<u8>>,
    /// Changes of metadata, document and uri.
    pub patch: Patch,
}

impl Operation {
    /// Makes an upsert of the record `id` with a vector.
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

    /// Makes a deletion of the record `id`.
    pub fn delete(id: impl Into<String>) -> Self {
        Self {
            kind: OperationKind::Delete,
            id: id.into(),
            vector: None,
            patch: Patch::new(),
        }
    }
}
