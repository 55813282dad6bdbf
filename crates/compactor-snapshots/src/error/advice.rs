//! What each error is called, and what an operator does about it.

use compactor_core::ports::Fault;

use super::Error;

impl Error {
    /// The stable code, as listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Port { error, .. } => error.code(),
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
            Self::SnapshotFile { .. } => "CC-SNAPSHOT-FILE",
            Self::UploadExists { .. } => "CC-UPLOAD-EXISTS",
            Self::UploadDiffers { .. } => "CC-UPLOAD-DIFFERS",
            Self::Overtaken { .. } => "CC-OVERTAKEN",
            Self::SwapUnknown { .. } => "CC-SWAP-UNKNOWN",
            Self::Task { .. } => "CC-TASK",
        }
    }

    /// What an operator does next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Store(error) => error.help(),
            Self::Port { error, .. } => help_for(error.fault),
            Self::ObjectName { .. } => "remove the object",
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
            Self::Overtaken { .. } => "run fewer writers per collection",
            Self::Task { .. } => "please report it with the log",
            Self::UploadExists { .. } | Self::UploadDiffers { .. } | Self::SwapUnknown { .. } => {
                "nothing to do: the message comes back and is tried again"
            }
        }
    }
}

fn help_for(fault: Fault) -> &'static str {
    match fault {
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
    }
}
