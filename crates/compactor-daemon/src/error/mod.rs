//! What can keep a run, or a whole batch, from being published.

mod advice;

use chroma_store::StoreError;
use compactor_core::VersionError;
use compactor_core::disposition::Resource;
use compactor_core::escape::{escaped, without_passwords};
use compactor_core::manifest::ManifestError;
use compactor_core::message::MessageError;
use compactor_core::ports::{Fault, PortError, PortResult};
use thiserror::Error;

/// Characters of an error that records keep. A DynamoDB item holds 400 KB at most, and a record has
/// an error per collection.
const LONGEST_TEXT: usize = 2000;

/// Why a run was not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A Chroma directory, the delta's or the snapshot's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port.
    #[error("{}: {error}", resource.name())]
    Port {
        /// What it was about.
        resource: Resource,
        /// What happened.
        #[source]
        error: PortError,
    },
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
    /// An object under a delta's or snapshot's prefix cannot be a file of it.
    #[error("object {key} cannot be a file of a Chroma directory")]
    ObjectName {
        /// The key.
        key: String,
    },
    /// Something is larger than a configured limit.
    #[error("{what} is larger than {setting}, the limit of {limit} {unit}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        limit: u64,
        /// What it counts.
        unit: &'static str,
        /// The setting that it comes from.
        setting: &'static str,
    },
    /// The pointer's body is not a version.
    #[error("pointer {key} does not name a version")]
    Pointer {
        /// The pointer's key.
        key: String,
        /// Why not.
        #[source]
        source: VersionError,
    },
    /// The pointer's body is not text.
    #[error("pointer {key} is not text")]
    PointerText {
        /// The pointer's key.
        key: String,
    },
    /// There is no pointer, and something was published.
    #[error("the pointer of {collection} is gone; {}", newest_of(newest.as_deref()))]
    PointerGone {
        /// The collection.
        collection: String,
        /// The newest complete version that contains what is completed, if there is one.
        newest: Option<String>,
    },
    /// A pointer was to be put back that is in use.
    #[error("the pointer of {collection} names {version}, which is complete")]
    PointerInUse {
        /// The collection.
        collection: String,
        /// What it names.
        version: String,
    },
    /// A version that an operator names is not there.
    #[error("{collection} has no version {version}; {}", newest_of_all(newest.as_deref()))]
    VersionMissing {
        /// The collection.
        collection: String,
        /// The version.
        version: String,
        /// The newest version of the collection, complete or not, if it has one.
        newest: Option<String>,
    },
    /// An operator names a collection of which nothing is published.
    #[error("nothing is published of collection {collection}")]
    NothingPublished {
        /// The collection.
        collection: String,
    },
    /// Another writer's version lacks most of what ours had.
    #[error(
        "version {version} of {collection}, which another writer published, has {records} records; our last one, {ours}, has {before}"
    )]
    Shrunk {
        /// The collection.
        collection: String,
        /// The other writer's version.
        version: String,
        /// Its records.
        records: u64,
        /// Our last version.
        ours: String,
        /// Its records.
        before: u64,
    },
    /// The version that the pointer names has no manifest.
    #[error("version {version} has no manifest, or nothing at all")]
    ManifestMissing {
        /// The version.
        version: String,
    },
    /// The manifest is not usable.
    #[error("manifest of {version}")]
    Manifest {
        /// The version.
        version: String,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// A run with this id was submitted before.
    #[error("run {run_id} was submitted before")]
    RunExists {
        /// The run.
        run_id: String,
    },
    /// A file of the published version is missing or differs from its manifest.
    #[error("published file {key}: {detail}")]
    SnapshotFile {
        /// The object.
        key: String,
        /// Found and expected.
        detail: String,
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
    /// An object of the new version is there already.
    #[error("object {key} of the new version exists already")]
    UploadExists {
        /// The object.
        key: String,
    },
    /// What was uploaded is not what was sent.
    #[error("uploaded object {key}: {detail}")]
    UploadDiffers {
        /// The object.
        key: String,
        /// Found and expected.
        detail: String,
    },
    /// The lease was lost before the swap.
    #[error("the lease of {collection} was lost before the swap")]
    LeaseLost {
        /// The collection.
        collection: String,
    },
    /// Other writers moved the pointer again and again.
    #[error("the pointer of {collection} was moved by others {times} times during the cycle")]
    Overtaken {
        /// The collection.
        collection: String,
        /// How often.
        times: u32,
    },
    /// It cannot be known whether the pointer was moved.
    #[error("it is not known whether the pointer of {collection} was moved to {version}: {reason}")]
    SwapUnknown {
        /// The collection.
        collection: String,
        /// The version.
        version: String,
        /// What the last put was answered with.
        reason: String,
    },
    /// The daemon is stopping; the work was abandoned and nothing changed.
    #[error("stopped before the swap; the message was given back")]
    Stopping,
    /// A blocking task panicked.
    #[error("internal task failed: {detail}")]
    Task {
        /// What the runtime says.
        detail: String,
    },
    /// A test stopped the cycle at this step as a crash would.
    #[error("killed at {step}")]
    Killed {
        /// The step.
        step: &'static str,
    },
}

impl RunError {
    /// A task that panicked, by what it panicked with.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Task {
            detail: text.unwrap_or_else(|| "it panicked".to_owned()),
        }
    }

    /// Whether a disk of this machine is full.
    pub(crate) fn is_out_of_space(&self) -> bool {
        match self {
            Self::Store(error) => error.is_out_of_space(),
            Self::Port { error, .. } => error.is_of_machine && error.fault == Fault::Full,
            _ => false,
        }
    }

    /// The port call that failed, if it is one, and what it was about.
    pub fn port(&self) -> Option<(Resource, &PortError)> {
        if let Self::Port { resource, error } = self {
            return Some((*resource, error));
        }
        None
    }

    /// Code and text, as run records and dead letters carry them: on one line, and cut where it quotes
    /// too much text of a sender or a producer.
    pub fn describe(&self) -> String {
        let text = format!("{}: {}", self.code(), self.with_causes());
        escaped(&without_passwords(&text)).into_owned()
    }

    /// Text and causes, cut as well.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        if let Some((cut, _)) = text.char_indices().nth(LONGEST_TEXT) {
            text.truncate(cut);
            text.push('…');
        }
        text
    }
}

fn newest_of(newest: Option<&str>) -> String {
    match newest {
        Some(version) => format!("the newest version that has all completed runs is {version}"),
        None => "no complete version is there either".to_owned(),
    }
}

/// Says what a port call was about.
pub(crate) trait About<T> {
    /// The error as one of this resource, or of the working space that it was copied to or from.
    fn about(self, resource: Resource) -> Result<T, RunError>;
}

impl<T> About<T> for PortResult<T> {
    fn about(self, resource: Resource) -> Result<T, RunError> {
        self.map_err(|error| RunError::Port {
            resource: match error.is_of_machine {
                true => Resource::Scratch,
                false => resource,
            },
            error,
        })
    }
}

impl From<tokio::task::JoinError> for RunError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task {
            detail: error.to_string(),
        }
    }
}

fn newest_of_all(newest: Option<&str>) -> String {
    match newest {
        Some(version) => format!("its newest one is {version}"),
        None => "it has none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_does_not_fill_a_record() {
        let short = RunError::DeltaMissing {
            prefix: "words/delta/a/".to_owned(),
        };
        let text = "CC-DELTA-MISSING: no delta under words/delta/a/";
        assert_eq!(short.describe(), text);
        let forged = RunError::DeltaMissing {
            prefix: "a\n2026-11-30 ERROR \u{1b}[31mb\u{202e}/".to_owned(),
        };
        let text = r"CC-DELTA-MISSING: no delta under a\n2026-11-30 ERROR \u{1b}[31mb\u{202e}/";
        assert_eq!(forged.describe(), text);
        let long = RunError::DeltaMissing {
            prefix: "ä".repeat(1 << 20),
        };
        let text = long.describe();
        assert!(text.chars().count() < LONGEST_TEXT + 30);
        assert!(text.starts_with("CC-DELTA-MISSING") && text.ends_with("ä…"));
    }
}
