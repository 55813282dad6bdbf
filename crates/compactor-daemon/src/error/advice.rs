//! What each error is called, and what an operator does about it.

use super::Error;

impl Error {
    /// The stable code, as listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Snapshot(error) => error.code(),
            Self::Message(error) => error.code(),
            Self::Unhandled { .. } => "CC-MESSAGE-UNHANDLED",
            Self::DeltaMissing { .. } => "CC-DELTA-MISSING",
            Self::DeltaChanged { .. } => "CC-DELTA-CHANGED",
            Self::DeltaBucket { .. } => "CC-DELTA-BUCKET",
            Self::RunExists { .. } => "CC-RUN-EXISTS",
            Self::CollectionUnknown { .. } => "CC-COLLECTION-UNKNOWN",
            Self::OtherQueue { .. } => "CC-COLLECTION-QUEUE",
            Self::CollectionRefused { .. } => "CC-COLLECTION-REFUSED",
            Self::DeltaPlace { .. } => "CC-DELTA-PLACE",
            Self::TooManyCollections { .. } => "CC-MESSAGE-COLLECTIONS",
            Self::RunDiffers { .. } => "CC-RUN-DIFFERS",
            Self::DeltaRoom { .. } => "CC-DELTA-ROOM",
            Self::LeaseLost { .. } => "CC-LEASE-LOST",
            Self::Stopping => "CC-STOPPING",
        }
    }

    /// What an operator does next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Snapshot(error) => error.help(),
            Self::Message(_) => "see docs/protocol.md for the form of a COMPACTION_RUN",
            Self::Unhandled { .. } => {
                "let its own consumer have it, or set queue.unhandled = \"acknowledge\""
            }
            Self::DeltaMissing { .. } | Self::DeltaChanged { .. } => {
                "upload the delta before the run is announced; delta prefixes end in /"
            }
            Self::DeltaBucket { .. } => {
                "put the delta into the configured bucket, or name the other one in aws.delta_buckets"
            }
            Self::OtherQueue { .. } => "send the message to the queue of its collection",
            Self::CollectionRefused { .. } => {
                "name it in collections.allow, if its producer is to be trusted"
            }
            Self::DeltaPlace { .. } => "put the delta there, or name the place in deltas.prefixes",
            Self::TooManyCollections { .. } => {
                "record fewer collections in one run, or raise queue.stream_collections"
            }
            Self::RunDiffers { .. } => "submit the delta again under an id of its own",
            Self::DeltaRoom { .. } => "send less at a time, or give worker.scratch more room",
            Self::CollectionUnknown { .. } => {
                "name its queue in aws.queues, then move the message from the dead-letter queue there"
            }
            Self::RunExists { .. } => {
                "leave --run-id out for a fresh one; a run that is in a snapshot is never applied again"
            }
            Self::LeaseLost { .. } | Self::Stopping => {
                "nothing to do: the message comes back and is tried again"
            }
        }
    }
}
