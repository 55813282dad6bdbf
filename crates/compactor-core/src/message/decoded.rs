//! What a message turns out to be, once it is read.

use crate::keys::DeltaLocation;
use crate::ports::Attributes;
use crate::{CollectionName, RunKey};

/// One collection's part of an announced run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionMessage {
    /// Which run.
    pub key: RunKey,
    /// Which collection's part.
    pub collection: CollectionName,
    /// Its delta, as announced.
    pub delta_prefix: String,
    /// Its delta, as a place.
    pub location: DeltaLocation,
    /// The attributes as they came.
    pub attributes: Attributes,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A run to be merged.
    Run(CompactionMessage),
    /// A run that was inserted into the table: announce each of its collections.
    Inserted(InsertedRun),
    /// Well formed, and one that other consumers act on, which we do not.
    Unhandled {
        /// Its entity type.
        entity_type: String,
        /// Its event.
        event_name: String,
    },
    /// Well formed, and no consumer needs it: another entity, or a change of a run. Acknowledge it.
    Ignored {
        /// Its entity type.
        entity_type: String,
        /// Its event.
        event_name: String,
    },
}

/// A run that was inserted into the table; each of its collections is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertedRun {
    /// Which run.
    pub key: RunKey,
    /// The delta prefix of each collection.
    pub deltas: Vec<(CollectionName, String)>,
    /// The region of the table.
    pub region: String,
    /// The id of the change.
    pub change_id: String,
}

/// What the Python compactor acts on, by its entity type.
const HANDLED_ELSEWHERE: [(&str, &[&str]); 6] = [
    ("RECEIPT_PLACE", &["MODIFY", "REMOVE"]),
    ("RECEIPT_WORD_LABEL", &["MODIFY", "REMOVE"]),
    ("RECEIPT_SECTION", &["INSERT", "MODIFY", "REMOVE"]),
    ("RECEIPT", &["REMOVE"]),
    ("RECEIPT_LINE", &["REMOVE"]),
    ("RECEIPT_WORD", &["REMOVE"]),
];

/// Characters of the types and events that are told of; all that are known have fewer.
const LONGEST_TYPE: usize = 64;

impl Decoded {
    /// A message that is not about a new run.
    pub(super) fn other(entity_type: &str, event_name: &str) -> Self {
        let mut known = HANDLED_ELSEWHERE.iter();
        let is_handled =
            known.any(|(entity, events)| *entity == entity_type && events.contains(&event_name));
        // The sender of a message chooses them.
        let [entity_type, event_name] =
            [entity_type, event_name].map(|text| text.chars().take(LONGEST_TYPE).collect());
        match is_handled {
            true => Self::Unhandled {
                entity_type,
                event_name,
            },
            false => Self::Ignored {
                entity_type,
                event_name,
            },
        }
    }
}
