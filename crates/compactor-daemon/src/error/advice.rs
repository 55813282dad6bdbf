//! What each error is called and what to do about it: code and next step.

use compactor_core::ports::Fault;

use super::RunError;

impl RunError {
    /// The stable code, as listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Port { error, .. } => error.code(),
            Self::Message(error) => error.code(),
            Self::Unhandled { .. } => "CC-MESSAGE-UNHANDLED",
            Self::DeltaMissing { .. } => "CC-DELTA-MISSING",
            Self::DeltaChanged { .. } => "CC-DELTA-CHANGED",
            Self::DeltaBucket { .. } => "CC-DELTA-BUCKET",
            Self::ObjectName { .. } => "CC-OBJECT-NAME",
            Self::TooLarge { .. } => "CC-TOO-LARGE",
            Self::Pointer { .. } | Self::PointerText { .. } => "CC-POINTER",
            Self::PointerGone { .. } => "CC-POINTER-GONE",
            Self::PointerInUse { .. } => "CC-POINTER-IN-USE",
            Self::VersionMissing { .. } => "CC-VERSION-MISSING",
            Self::NothingPublished { .. } => "CC-NOTHING-PUBLISHED",
            Self::Shrunk { .. } => "CC-SHRUNK",
            Self::ManifestMissing { .. } => "CC-MANIFEST-MISSING",
            Self::Manifest { .. } => "CC-MANIFEST",
            Self::RunExists { .. } => "CC-RUN-EXISTS",
            Self::SnapshotFile { .. } => "CC-SNAPSHOT-FILE",
            Self::CollectionUnknown { .. } => "CC-COLLECTION-UNKNOWN",
            Self::OtherQueue { .. } => "CC-COLLECTION-QUEUE",
            Self::CollectionRefused { .. } => "CC-COLLECTION-REFUSED",
            Self::DeltaPlace { .. } => "CC-DELTA-PLACE",
            Self::TooManyCollections { .. } => "CC-MESSAGE-COLLECTIONS",
            Self::RunDiffers { .. } => "CC-RUN-DIFFERS",
            Self::DeltaRoom { .. } => "CC-DELTA-ROOM",
            Self::UploadExists { .. } => "CC-UPLOAD-EXISTS",
            Self::UploadDiffers { .. } => "CC-UPLOAD-DIFFERS",
            Self::LeaseLost { .. } => "CC-LEASE-LOST",
            Self::Overtaken { .. } => "CC-OVERTAKEN",
            Self::SwapUnknown { .. } => "CC-SWAP-UNKNOWN",
            Self::Stopping => "CC-STOPPING",
            Self::Task { .. } => "CC-TASK",
            Self::Killed { .. } => "CC-KILLED",
        }
    }

    /// What to do next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Store(error) => error.help(),
            Self::Port { error, .. } => match error.fault {
                Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => {
                    "check that the service is reachable; it is tried again"
                }
                Fault::Denied => {
                    "check the credentials and the permissions of docs/aws.md, or who may write to the data directory"
                }
                Fault::Missing => {
                    "check that it is there, and the name, region, endpoint or path that the settings give it"
                }
                Fault::Full => "make room",
                Fault::TooLarge => "raise the limit in the configuration",
                Fault::Corrupt => {
                    "look at what is stored there: it is damaged, or another program wrote it"
                }
                Fault::Invalid => {
                    "check region, endpoint and name; `chroma-compactor doctor` tries all that a daemon needs"
                }
                Fault::Unsupported => {
                    "use a store that has it: docs/aws.md says what is needed, and `chroma-compactor doctor` tries it"
                }
            },
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
            Self::ObjectName { .. } => "remove the object",
            Self::CollectionUnknown { .. } => {
                "name its queue in aws.queues, then move the message from the dead-letter queue there"
            }
            Self::TooLarge { .. } => "raise the limit in the configuration, or send less at a time",
            Self::Pointer { .. } | Self::PointerText { .. } => {
                "`chroma-compactor snapshots point COLLECTION VERSION` lets it name a complete version"
            }
            Self::PointerGone { .. } => {
                "`chroma-compactor snapshots point COLLECTION VERSION` puts it back; where all that was published is to be given up, remove its versions and the records of its runs"
            }
            Self::PointerInUse { .. } => {
                "nothing was changed; `--instead-of` with the version that the pointer names now takes its place"
            }
            Self::VersionMissing { .. } | Self::NothingPublished { .. } => {
                "nothing was changed; correct the name: `chroma-compactor doctor` lists collections and their versions"
            }
            Self::Shrunk { .. } => {
                "look at both versions: `chroma-compactor snapshots accept COLLECTION` goes on from the other writer's, `snapshots point COLLECTION OURS --instead-of THEIRS` goes back to ours"
            }
            Self::ManifestMissing { .. } | Self::Manifest { .. } | Self::SnapshotFile { .. } => {
                "the published snapshot is damaged or incomplete: `chroma-compactor snapshots point COLLECTION VERSION` lets the pointer name another version"
            }
            Self::RunExists { .. } => {
                "leave --run-id out for a fresh one; a run that is in a snapshot is never applied again"
            }
            Self::Overtaken { .. } => "run fewer writers per collection",
            Self::Task { .. } => "please report it with the log",
            Self::UploadExists { .. }
            | Self::UploadDiffers { .. }
            | Self::LeaseLost { .. }
            | Self::SwapUnknown { .. }
            | Self::Stopping
            | Self::Killed { .. } => "nothing to do: the message comes back and is tried again",
        }
    }
}
