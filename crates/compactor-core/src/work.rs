//! What a message asks for: sources to be merged into a collection, under an id that makes sure that they
//! are merged once.
//!
//! Today there is one kind of work, a run with its delta. Another kind gets a variant here; what handles
//! work then has to say what becomes of it.

use std::fmt;

use crate::keys::DeltaLocation;
use crate::message::CompactionMessage;
use crate::{CollectionName, DeltaDigest, RunId, RunKey};

/// The identity of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkId {
    /// A run, which has a record of its own.
    Run(RunKey),
}

impl WorkId {
    /// The key of the record that says what became of the work.
    pub fn record(&self) -> &RunKey {
        match self {
            Self::Run(key) => key,
        }
    }

    /// The id under which the lineage of a snapshot names the work.
    pub fn in_lineage(&self) -> &RunId {
        &self.record().run_id
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_lineage().fmt(f)
    }
}

/// What is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A delta: a Chroma directory in an object store.
    Delta {
        /// Its prefix, as the message writes it.
        prefix: String,
        /// Where that is.
        location: DeltaLocation,
    },
}

impl Source {
    /// Where it is.
    pub fn location(&self) -> &DeltaLocation {
        match self {
            Self::Delta { location, .. } => location,
        }
    }

    /// Its prefix, as the message writes it.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Delta { prefix, .. } => prefix,
        }
    }
}

/// A piece of work for one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its identity.
    pub id: WorkId,
    /// The collection that it changes.
    pub collection: CollectionName,
    /// What is merged into the collection.
    pub source: Source,
}

impl Work {
    /// Tells the source from others that claim the same id.
    pub fn digest(&self) -> DeltaDigest {
        DeltaDigest::of(self.id.record(), self.source.location())
    }
}

impl From<CompactionMessage> for Work {
    fn from(message: CompactionMessage) -> Self {
        Self {
            id: WorkId::Run(message.key),
            collection: message.collection,
            source: Source::Delta {
                prefix: message.delta_prefix,
                location: message.location,
            },
        }
    }
}
