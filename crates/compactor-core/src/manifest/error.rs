//! Why a manifest cannot be used.

use thiserror::Error;

use crate::{CollectionName, RunId, Version};

use super::{FORMAT_VERSION, LINEAGE_LIMIT};

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The object is not JSON, or fields are missing or of the wrong type.
    #[error("this is not a manifest")]
    NotAManifest(#[source] serde_json::Error),
    /// The manifest has a format that this build does not know.
    #[error("the manifest has format {found}, this build reads format {FORMAT_VERSION}")]
    Format {
        /// The `format_version` of the manifest.
        found: u32,
    },
    /// The manifest belongs to another collection.
    #[error("the manifest is of collection {found}, expected {expected}")]
    Collection {
        /// The collection in the manifest.
        found: CollectionName,
        /// The collection in its key.
        expected: CollectionName,
    },
    /// The manifest belongs to another version.
    #[error("the manifest is of version {found}, expected {expected}")]
    Version {
        /// The version in the manifest.
        found: Version,
        /// The version in its key.
        expected: Version,
    },
    /// The version is not greater than its parent.
    #[error("version {version} is not greater than its parent {parent}")]
    Order {
        /// The version of the manifest.
        version: Version,
        /// The version of its parent.
        parent: Version,
    },
    /// The manifest lists no files.
    #[error("the manifest lists no files")]
    NoFiles,
    /// A path could lead out of the directory, or is not in its one normal form.
    #[error("file path {path:?} is not allowed: {reason}")]
    Path {
        /// The path as listed.
        path: String,
        /// The broken rule.
        reason: &'static str,
    },
    /// The files are not sorted by path, or a file is listed twice or is the folder of another.
    #[error("file {path:?} is listed twice, out of order or below another file")]
    FileOrder {
        /// The path of the file.
        path: String,
    },
    /// The digest of a file is no SHA-256.
    #[error("file {path:?} has no SHA-256 of 64 lower-case hex digits")]
    Digest {
        /// The path of the file.
        path: String,
    },
    /// The lineage lacks a run of this version.
    #[error("run {run} was merged into this version but its lineage does not contain it")]
    Lineage {
        /// The missing run.
        run: RunId,
    },
    /// The lineage repeats a run or is too long.
    #[error("the lineage repeats a run or has more than {LINEAGE_LIMIT}: {length}")]
    LineageWindow {
        /// The number of runs in the lineage.
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
