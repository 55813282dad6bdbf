//! `COMPACTION_RUN` messages, which announce runs.
//!
//! The form is that of the Python stream processor (docs/protocol.md), so every consumer reads its
//! messages and ours alike. This module reads and writes them. It must not decide what becomes of one.

mod decode;
mod decoded;
mod encode;
mod envelope;
mod error;
mod receipt_id;
mod stream_record;

pub use decode::decode;
pub use decoded::{CompactionMessage, Decoded, InsertedRun};
pub use encode::{Announcement, encode};
pub use error::{MessageError, Refused};

/// The `entity_type` of a message that announces a run.
pub const ENTITY_TYPE: &str = "COMPACTION_RUN";
/// The `event_name` of a message that announces a run, and of a message without one.
pub const EVENT_NAME: &str = "INSERT";
/// The `source` that the Python stream processor writes into every message, and we too.
pub const SOURCE: &str = "dynamodb_stream";

/// The attribute that names the collection.
const COLLECTION: &str = "collection";
/// The field with the delta prefix of the message's own collection.
const OWN_PREFIX: &str = "delta_s3_prefix";
/// The end of the name of the field with a collection's delta prefix; the collection's name precedes it.
const PREFIX_SUFFIX: &str = "_delta_prefix";

#[cfg(test)]
mod tests;
