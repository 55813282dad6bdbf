//! The manifest of a snapshot: the last object written into a version, and the truth about it.
//!
//! It says which runs the snapshot contains, what it was made from and which files it consists of.
//! Unknown fields are kept out of the way, not refused, so that a newer writer's additions do not
//! stop an older reader; a change that an older reader must not miss raises [`FORMAT_VERSION`].

mod check;
mod error;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::ManifestError;

use crate::time::WallTime;
use crate::{CollectionName, DeltaDigest, Fence, RunId, Version};

/// The format this build writes, and the greatest it reads.
pub const FORMAT_VERSION: u32 = 1;

/// How many run ids of the lineage a manifest remembers. A message redelivered after this many
/// later runs is merged again, which changes nothing but costs a cycle.
pub const LINEAGE_LIMIT: usize = 10_000;

/// Everything there is to know about one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whose snapshot this is.
    pub collection: CollectionName,
    /// Which one.
    pub version: Version,
    /// What it was made from; none for a collection's first.
    pub parent: Option<Parent>,
    /// The fence its writer held.
    pub fence: Fence,
    /// Marks the attempt that wrote it.
    pub nonce: Uuid,
    /// When it was written.
    pub created_at: WallTime,
    /// By which program, name and version.
    pub created_by: String,
    /// How its files are stored.
    pub layout: Layout,
    /// The runs merged into it.
    pub runs: Vec<AppliedRun>,
    /// The runs of the whole lineage, newest last, those of `runs` included; at most
    /// [`LINEAGE_LIMIT`].
    pub applied_runs: Vec<RunId>,
    /// Which delta each of them had, as far as its writer knew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied_deltas: BTreeMap<RunId, DeltaDigest>,
    /// Its files, sorted by path.
    pub files: Vec<FileEntry>,
    /// The archive that its files are in, where they are in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveEntry>,
    /// What is in it.
    pub rows: Rows,
}

/// The version a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its id.
    pub version: Version,
    /// The tag of the pointer when it named that version.
    pub etag: String,
}

/// How the files of a version are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One object per file.
    #[default]
    Files,
    /// All files in one `snapshot.tar.gz`.
    Archive,
}

/// One run merged into a version, and what it changed, measured on the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRun {
    /// The run.
    pub run_id: RunId,
    /// Records that were not there before.
    pub added: u64,
    /// Records that were replaced or changed.
    pub updated: u64,
    /// Records that were removed.
    pub deleted: u64,
    /// Records of the delta that are in the snapshot because of this run.
    pub merged: u64,
    /// Operations of the delta without effect: updates and deletes of ids that do not exist.
    #[serde(default)]
    pub ignored: u64,
}

/// One object of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path relative to the version's prefix, with `/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
}

/// The archive of a version, as it was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveEntry {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content, 64 lower-case hex digits.
    pub sha256: String,
}

/// What is in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// How many records.
    pub records: u64,
    /// The vectors' dimension; none while the collection is empty.
    pub dimension: Option<u32>,
    /// The distance function: `l2`, `cosine` or `ip`.
    pub space: String,
    /// The schema level of the Chroma directory.
    pub schema_level: String,
}

impl Manifest {
    /// Reads a manifest. Says that a format is too new before it says that fields are missing.
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

    /// The manifest as indented JSON, for machines and for people.
    #[expect(
        clippy::expect_used,
        reason = "no map with keys that are not strings, no failing impl"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a manifest is always representable")
    }

    /// Whether the lineage of this version contains the run, as far back as it remembers.
    pub fn contains_run(&self, run: &RunId) -> bool {
        // The newest are the likeliest to be asked for.
        self.applied_runs.iter().rev().any(|applied| applied == run)
    }

    /// Whether the lineage contains a run with this id that had another delta.
    pub fn contains_other_delta(&self, run: &RunId, delta: &DeltaDigest) -> bool {
        let applied = self.applied_deltas.get(run);
        applied.is_some_and(|applied| applied != delta) && self.contains_run(run)
    }

    /// Whether the lineage contains every one of `runs`.
    pub fn contains_all<'a>(&self, runs: impl IntoIterator<Item = &'a RunId>) -> bool {
        runs.into_iter().all(|run| self.contains_run(run))
    }

    /// The `applied_runs` of a child: the parent's, then `runs`, each once at its last place, the
    /// oldest dropped beyond [`LINEAGE_LIMIT`].
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

    /// The `applied_deltas` of a child with the lineage `applied_runs`: the parent's, and `deltas`.
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

    /// Checks everything that can be checked without the files, against the key it was read from.
    /// To be called after reading and before writing.
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
