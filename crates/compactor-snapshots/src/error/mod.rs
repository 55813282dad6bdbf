//! Why a published snapshot cannot be found, fetched, merged into or published.

mod advice;

use chroma_store::StoreError;
use compactor_core::VersionError;
use compactor_core::disposition::Resource;
use compactor_core::escape::{escaped, without_passwords};
use compactor_core::manifest::ManifestError;
use compactor_core::ports::{Fault, PortError, PortResult};
use thiserror::Error;

/// Most characters of an error that records keep. A DynamoDB item holds 400 KB at most, and a record has
/// an error per collection.
const LONGEST_TEXT: usize = 2000;

/// What this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why work on a published snapshot failed.
#[derive(Debug, Error)]
pub enum Error {
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
    /// A file of the published version is missing or differs from its manifest.
    #[error("published file {key}: {detail}")]
    SnapshotFile {
        /// The object.
        key: String,
        /// Found and expected.
        detail: String,
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
    /// A blocking task panicked.
    #[error("internal task failed: {detail}")]
    Task {
        /// What the runtime says.
        detail: String,
    },
}

impl Error {
    /// A task that panicked, by what it panicked with.
    pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Task {
            detail: text.unwrap_or_else(|| "it panicked".to_owned()),
        }
    }

    /// Whether a disk of this machine is full.
    pub fn is_out_of_space(&self) -> bool {
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
        describe(self.code(), self)
    }

    /// The text of the error and of its causes, on several lines if they have some, and cut as in
    /// [`Error::describe`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// An error as run records and dead letters carry it: code, text and causes on one line.
pub fn describe(code: &str, error: &dyn std::error::Error) -> String {
    let text = format!("{code}: {}", with_causes(error));
    escaped(&without_passwords(&text)).into_owned()
}

/// The text of an error and of its causes, cut where it is too long for a record.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
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

fn newest_of(newest: Option<&str>) -> String {
    match newest {
        Some(version) => format!("the newest version that has all completed runs is {version}"),
        None => "no complete version is there either".to_owned(),
    }
}

/// Says what a port call was about.
pub trait About<T> {
    /// The error as one of this resource, or of the working space that it was copied to or from.
    ///
    /// # Errors
    /// The port's error.
    fn about(self, resource: Resource) -> Result<T>;
}

impl<T> About<T> for PortResult<T> {
    fn about(self, resource: Resource) -> Result<T> {
        self.map_err(|error| Error::Port {
            resource: match error.is_of_machine {
                true => Resource::Scratch,
                false => resource,
            },
            error,
        })
    }
}

impl From<tokio::task::JoinError> for Error {
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
