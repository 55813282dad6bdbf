//! `COMPACTION_RUN` messages: how a run is announced.
//!
//! The form is that of the existing stream processor, so its messages and ours are the same to
//! every consumer. Reading and writing only; nothing here decides what a message is worth.

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

/// The `entity_type` of the messages we act on.
pub const ENTITY_TYPE: &str = "COMPACTION_RUN";
/// The `event_name` of the messages we act on.
pub const EVENT_NAME: &str = "INSERT";
/// The `source` of all messages.
pub const SOURCE: &str = "dynamodb_stream";

/// The attribute that names the collection.
const COLLECTION: &str = "collection";
/// The field with the prefix of the message's own collection.
const OWN_PREFIX: &str = "delta_s3_prefix";
/// What follows the collection's name in the field with its prefix.
const PREFIX_SUFFIX: &str = "_delta_prefix";

#[cfg(test)]
mod tests;
