//! What can be wrong with a manifest.

use thiserror::Error;

use crate::{CollectionName, RunId, Version};

use super::{FORMAT_VERSION, LINEAGE_LIMIT};

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not JSON, or fields are missing or of the wrong kind.
    #[error("this is not a manifest")]
    NotAManifest(#[source] serde_json::Error),
    /// Written in a format this build does not know.
    #[error("the manifest has format {found}, this build reads format {FORMAT_VERSION}")]
    Format {
        /// The format it says it has.
        found: u32,
    },
    /// It belongs to another collection.
    #[error("the manifest is of collection {found}, expected {expected}")]
    Collection {
        /// What it says.
        found: CollectionName,
        /// Where it was found.
        expected: CollectionName,
    },
    /// It belongs to another version.
    #[error("the manifest is of version {found}, expected {expected}")]
    Version {
        /// What it says.
        found: Version,
        /// Where it was found.
        expected: Version,
    },
    /// A version must be greater than its parent.
    #[error("version {version} is not greater than its parent {parent}")]
    Order {
        /// The version.
        version: Version,
        /// Its parent.
        parent: Version,
    },
    /// It lists no files.
    #[error("the manifest lists no files")]
    NoFiles,
    /// A path that could lead out of the directory, or is not in its one normal form.
    #[error("file path {path:?} is not allowed: {reason}")]
    Path {
        /// The path.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// Files must be sorted by path, each once, and none the folder of another.
    #[error("file {path:?} is listed twice, out of order or below another file")]
    FileOrder {
        /// The path.
        path: String,
    },
    /// Not a SHA-256.
    #[error("file {path:?} has no SHA-256 of 64 lower-case hex digits")]
    Digest {
        /// The path.
        path: String,
    },
    /// A run of this version is not in its lineage.
    #[error("run {run} was merged into this version but its lineage does not contain it")]
    Lineage {
        /// The run.
        run: RunId,
    },
    /// The lineage repeats itself or is longer than it may be.
    #[error("the lineage repeats a run or has more than {LINEAGE_LIMIT}: {length}")]
    LineageWindow {
        /// How many runs it has.
        length: usize,
    },
}

impl ManifestError {
    /// The stable code of this error, `CC-MANIFEST-...`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAManifest(_) => "CC-MANIFEST-UNREADABLE",
            Self::Format { .. } => "CC-MANIFEST-FORMAT",
            Self::Collection { .. } => "CC-MANIFEST-COLLECTION",
            Self::Version { .. } => "CC-MANIFEST-VERSION",
            Self::Order { .. } => "CC-MANIFEST-ORDER",
            Self::NoFiles => "CC-MANIFEST-EMPTY",
            Self::Path { .. } => "CC-MANIFEST-PATH",
            Self::FileOrder { .. } => "CC-MANIFEST-FILES",
            Self::Digest { .. } => "CC-MANIFEST-DIGEST",
            Self::Lineage { .. } | Self::LineageWindow { .. } => "CC-MANIFEST-LINEAGE",
        }
    }
}
