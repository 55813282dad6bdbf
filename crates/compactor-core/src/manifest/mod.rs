//! The manifest of a snapshot: the last object that its writer puts into a version.
//!
//! It says which runs the snapshot contains, which version it was made from, and which files it
//! consists of. Unknown fields are ignored, so that an older daemon reads what a newer one wrote; a
//! change that it must not ignore raises [`FORMAT_VERSION`]. docs/protocol.md has the rules and the
//! names of planned fields ("Upgrade and rollback of the daemon").

mod check;
mod error;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::ManifestError;

use crate::time::WallTime;
use crate::{CollectionName, DeltaDigest, Fence, Lineage, RunId, Version};

/// The only format that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// How many run ids of the lineage a manifest keeps. A message that is delivered again after this many
/// later runs is merged again.
pub const LINEAGE_LIMIT: usize = 10_000;

/// The description of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the manifest; see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The collection whose lineage the version belongs to.
    pub collection: CollectionName,
    /// The id of the version, which is also in the key.
    pub version: Version,
    /// The version that this one was made from; `None` for a collection's first.
    pub parent: Option<Parent>,
    /// The fence of the lease under which the version was made.
    pub fence: Fence,
    /// A random id of the attempt that wrote the version; the pointer has the same in its metadata.
    pub nonce: Uuid,
    /// When the version was made, by the writer's clock.
    pub created_at: WallTime,
    /// The program that made it, as in `chroma-compactor 0.1.0`.
    pub created_by: String,
    /// Whether the files are one object each or in one archive.
    pub layout: Layout,
    /// The runs that were merged into this version, in the order of the merge.
    pub runs: Vec<AppliedRun>,
    /// The runs of the whole lineage, those of `runs` included, newest last; at most
    /// [`LINEAGE_LIMIT`].
    pub applied_runs: Vec<RunId>,
    /// The digest of the delta of each of these runs. Runs of versions that were made before this field
    /// existed have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied_deltas: BTreeMap<RunId, DeltaDigest>,
    /// All files of the Chroma directory, sorted by path, in both layouts.
    pub files: Vec<FileEntry>,
    /// The archive of the layout `archive`. `None` in the other layout, and for versions that were made
    /// before this field existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveEntry>,
    /// What the collection in the snapshot contains.
    pub rows: Rows,
}

/// The version that a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The id of the parent.
    pub version: Version,
    /// The tag of the pointer when it named the parent; the swap is conditional on it.
    pub etag: String,
}

/// The way in which the files of a version are stored as objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Each file is an object of its own.
    #[default]
    Files,
    /// All files are in one object, `snapshot.tar.gz`.
    Archive,
}

/// A run that was merged into a version, and what it changed, measured on the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRun {
    /// The id of the run.
    pub run_id: RunId,
    /// The number of records that did not exist before.
    pub added: u64,
    /// The number of records that were replaced or changed.
    pub updated: u64,
    /// The number of records that were removed.
    pub deleted: u64,
    /// The number of records of the delta that are in the snapshot because of this run.
    pub merged: u64,
    /// The number of operations of the delta without effect: updates and deletes of ids that do not
    /// exist.
    #[serde(default)]
    pub ignored: u64,
}

/// One file of a Chroma directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The path relative to the directory, with `/`: never absolute, never with `..`.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
}

/// The archive of a version, as it was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveEntry {
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
}

/// What the collection in a snapshot contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The number of records.
    pub records: u64,
    /// The dimension of the vectors; `None` while the collection is empty.
    pub dimension: Option<u32>,
    /// The distance function: `l2`, `cosine` or `ip`.
    pub space: String,
    /// The level of the schema in `chroma.sqlite3`, as in `L15` for chromadb 1.5.
    pub schema_level: String,
}

impl Manifest {
    /// The lineage that the version belongs to.
    pub fn lineage(&self) -> Lineage {
        Lineage::from(&self.collection)
    }

    /// Reads a manifest. Does not check what it says: [`validate`](Self::validate) does.
    ///
    /// # Errors
    /// [`ManifestError::Format`] if the manifest has another format, whatever its other fields are;
    /// [`ManifestError::NotAManifest`] if it is not JSON, or fields are missing or of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Probe {
            format_version: u32,
        }
        let probe: Probe = serde_json::from_slice(json).map_err(ManifestError::NotAManifest)?;
        if probe.format_version != FORMAT_VERSION {
            return Err(ManifestError::Format {
                found: probe.format_version,
            });
        }
        serde_json::from_slice(json).map_err(ManifestError::NotAManifest)
    }

    /// The stored form: indented JSON.
    #[expect(
        clippy::expect_used,
        reason = "no map with keys that are not strings, no failing impl"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a manifest is always representable")
    }

    /// Whether the lineage of this version contains the run, as far back as the manifest goes.
    pub fn contains_run(&self, run: &RunId) -> bool {
        // A redelivered message is most likely of a recent run.
        self.applied_runs.iter().rev().any(|applied| applied == run)
    }

    /// Whether the lineage contains a run with this id but another delta.
    pub fn contains_other_delta(&self, run: &RunId, delta: &DeltaDigest) -> bool {
        let applied = self.applied_deltas.get(run);
        applied.is_some_and(|applied| applied != delta) && self.contains_run(run)
    }

    /// Whether the lineage contains every one of `runs`.
    pub fn contains_all<'a>(&self, runs: impl IntoIterator<Item = &'a RunId>) -> bool {
        runs.into_iter().all(|run| self.contains_run(run))
    }

    /// The `applied_runs` of a child: those of the parent, then `runs`. Each run is listed once, at its
    /// last place; the oldest are dropped beyond [`LINEAGE_LIMIT`].
    pub fn extend_lineage(parent: Option<&Manifest>, runs: &[AppliedRun]) -> Vec<RunId> {
        let before = parent.map_or(&[][..], |parent| &parent.applied_runs);
        let mut seen = HashSet::new();
        let mut lineage: Vec<RunId> = before
            .iter()
            .chain(runs.iter().map(|run| &run.run_id))
            .rev()
            .filter(|run| seen.insert(*run))
            .take(LINEAGE_LIMIT)
            .cloned()
            .collect();
        lineage.reverse();
        lineage
    }

    /// The `applied_deltas` of a child with the lineage `applied_runs`: those of the parent, and `deltas`,
    /// without runs that the lineage no longer has.
    pub fn extend_deltas(
        parent: Option<&Manifest>,
        applied_runs: &[RunId],
        deltas: impl IntoIterator<Item = (RunId, DeltaDigest)>,
    ) -> BTreeMap<RunId, DeltaDigest> {
        let mut known = parent.map_or_else(BTreeMap::new, |parent| parent.applied_deltas.clone());
        known.extend(deltas);
        let remembered: HashSet<&RunId> = applied_runs.iter().collect();
        known.retain(|run, _| remembered.contains(run));
        known
    }

    /// Checks everything that can be checked without the files, `collection` and `version` being those of
    /// the manifest's key. Call it after every read and before every write.
    ///
    /// # Errors
    /// The format, collection or version differs, or the version is not greater than its parent. The
    /// manifest lists no files, or a file with a bad path or digest, or files out of order. The lineage
    /// lacks a run of `runs`, repeats a run, or is longer than [`LINEAGE_LIMIT`].
    pub fn validate(
        &self,
        collection: &CollectionName,
        version: &Version,
    ) -> Result<(), ManifestError> {
        check::all(self, collection, version)
    }
}

#[cfg(test)]
mod tests;
