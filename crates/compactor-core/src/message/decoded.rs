//! The kinds of messages that decoding tells apart.

use crate::keys::DeltaLocation;
use crate::ports::Attributes;
use crate::{CollectionName, RunKey};

/// One collection's part of an announced run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionMessage {
    /// The key of the run's record.
    pub key: RunKey,
    /// The collection that the delta is for.
    pub collection: CollectionName,
    /// The prefix of the delta, as the sender wrote it.
    pub delta_prefix: String,
    /// The place of the delta, parsed from that prefix.
    pub location: DeltaLocation,
    /// The attributes of the message and of the envelopes around it; the innermost win.
    pub attributes: Attributes,
}

/// A message that can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A run whose delta is to be merged.
    Run(CompactionMessage),
    /// A run that was inserted into the table. Send a message for each of its collections.
    Inserted(InsertedRun),
    /// A message that the Python compactor acts on and this program does not.
    Unhandled {
        /// The entity type of the message, cut to 64 characters.
        entity_type: String,
        /// The event of the message, cut to 64 characters.
        event_name: String,
    },
    /// A message that no consumer needs: of another entity, or a change of a run. Acknowledge it.
    Ignored {
        /// The entity type of the message, cut to 64 characters.
        entity_type: String,
        /// The event of the message, cut to 64 characters.
        event_name: String,
    },
}

/// A run that its producer inserted into the table, as a record of the table's change stream shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertedRun {
    /// The key of the run's record.
    pub key: RunKey,
    /// The delta prefix of each collection, as the producer wrote it; never empty.
    pub deltas: Vec<(CollectionName, String)>,
    /// The AWS region of the table, cut to 64 characters; may be empty.
    pub region: String,
    /// The stream's id of the change, cut to 64 characters; may be empty.
    pub change_id: String,
}

/// The entity types, with their events, that the Python compactor acts on.
const HANDLED_ELSEWHERE: [(&str, &[&str]); 6] = [
    ("RECEIPT_PLACE", &["MODIFY", "REMOVE"]),
    ("RECEIPT_WORD_LABEL", &["MODIFY", "REMOVE"]),
    ("RECEIPT_SECTION", &["INSERT", "MODIFY", "REMOVE"]),
    ("RECEIPT", &["REMOVE"]),
    ("RECEIPT_LINE", &["REMOVE"]),
    ("RECEIPT_WORD", &["REMOVE"]),
];

/// Characters of a type or event that are kept; every known one has fewer.
const LONGEST_TYPE: usize = 64;

impl Decoded {
    /// The kind of a message that announces no run.
    pub(super) fn other(entity_type: &str, event_name: &str) -> Self {
        let mut known = HANDLED_ELSEWHERE.iter();
        let is_handled =
            known.any(|(entity, events)| *entity == entity_type && events.contains(&event_name));
        // The sender chooses both, and must not fill the log with them.
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
