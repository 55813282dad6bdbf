//! What can keep a run, or a whole batch, from being published.

mod advice;

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::message::MessageError;
use compactor_core::ports::PortError;
use compactor_snapshots::{describe, with_causes};
use thiserror::Error;

/// What this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run was not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Work on the published snapshot, on a directory, or a port call failed.
    #[error(transparent)]
    Snapshot(#[from] compactor_snapshots::Error),
    /// The message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message that this program does not act on, and others do.
    #[error("this program does not act on {entity_type} {event_name}")]
    Unhandled {
        /// Its entity type.
        entity_type: String,
        /// Its event.
        event_name: String,
    },
    /// There is nothing under the delta's prefix.
    #[error("no delta under {prefix}")]
    DeltaMissing {
        /// The prefix.
        prefix: String,
    },
    /// Objects were added to a loose delta after the cycle had looked at it.
    #[error("objects were added to delta {prefix} while it was fetched")]
    DeltaChanged {
        /// The prefix.
        prefix: String,
    },
    /// The delta is in a bucket that this daemon does not read.
    #[error("the delta is in bucket {bucket}, which this daemon does not read")]
    DeltaBucket {
        /// The bucket.
        bucket: String,
    },
    /// A run with this id was submitted before.
    #[error("run {run_id} was submitted before")]
    RunExists {
        /// The run.
        run_id: String,
    },
    /// Each collection has its queue, and this one has none.
    #[error("collection {collection} has no queue")]
    CollectionUnknown {
        /// The collection.
        collection: String,
    },
    /// The message came through the queue of another collection.
    #[error(
        "collection {collection} has a queue of its own; the message came through that of {of_queue}"
    )]
    OtherQueue {
        /// The collection of the message.
        collection: String,
        /// The collection of the queue.
        of_queue: String,
    },
    /// The collection is not let in.
    #[error("collection {collection} is not among collections.allow")]
    CollectionRefused {
        /// The collection.
        collection: String,
    },
    /// The delta is where none of its collection's are let in.
    #[error("delta prefix {prefix} is not below {allowed}")]
    DeltaPlace {
        /// The prefix.
        prefix: String,
        /// Below what it would have to be.
        allowed: String,
    },
    /// A record of the table's stream names more collections than are announced.
    #[error("the record names {found} collections; queue.stream_collections lets in {limit}")]
    TooManyCollections {
        /// How many it names.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The record of the run, or the published lineage, has another delta under the run's id.
    #[error("run {run_id} has another delta in {place}: this one is {prefix}")]
    RunDiffers {
        /// The run.
        run_id: String,
        /// Where the other one stands.
        place: &'static str,
        /// The delta of the message.
        prefix: String,
    },
    /// A delta that was alone in its cycle did not fit into the working space.
    #[error(
        "delta {prefix} takes {bytes} bytes unpacked and about as many once more in the snapshot; the working space had {free}"
    )]
    DeltaRoom {
        /// Its prefix.
        prefix: String,
        /// What it takes, as far as it was unpacked.
        bytes: u64,
        /// What was free before.
        free: u64,
    },
    /// The lease was lost before the swap.
    #[error("the lease of {collection} was lost before the swap")]
    LeaseLost {
        /// The collection.
        collection: String,
    },
    /// The daemon is stopping; the work was abandoned and nothing changed.
    #[error("stopped before the swap; the message was given back")]
    Stopping,
}

impl Error {
    /// Whether a disk of this machine is full.
    pub(crate) fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_out_of_space())
    }

    /// Whether a task of this program panicked.
    pub(crate) fn is_panic(&self) -> bool {
        matches!(
            self,
            Self::Snapshot(compactor_snapshots::Error::Task { .. })
        )
    }

    /// The port call that failed and what it was about, if it was one.
    pub fn port(&self) -> Option<(Resource, &PortError)> {
        match self {
            Self::Snapshot(error) => error.port(),
            _ => None,
        }
    }

    /// Code and text, as run records and dead letters carry them: on one line, and cut where it quotes
    /// too much text of a sender or a producer.
    pub fn describe(&self) -> String {
        describe(self.code(), self)
    }

    /// The text of the error and of its causes, cut as in [`Error::describe`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Snapshot(error.into())
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Snapshot(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_escaped_and_cut_in_records() {
        let short = Error::DeltaMissing {
            prefix: "words/delta/a/".to_owned(),
        };
        let text = "CC-DELTA-MISSING: no delta under words/delta/a/";
        assert_eq!(short.describe(), text);
        let forged = Error::DeltaMissing {
            prefix: "a\n2026-11-30 ERROR \u{1b}[31mb\u{202e}/".to_owned(),
        };
        let text = r"CC-DELTA-MISSING: no delta under a\n2026-11-30 ERROR \u{1b}[31mb\u{202e}/";
        assert_eq!(forged.describe(), text);
        let long = Error::DeltaMissing {
            prefix: "ä".repeat(1 << 20),
        };
        let text = long.describe();
        assert!(text.chars().count() < 2030);
        assert!(text.starts_with("CC-DELTA-MISSING") && text.ends_with("ä…"));
    }
}
