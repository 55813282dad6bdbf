//! What a new version is made from, and how it is stored.

use std::collections::BTreeMap;

use compactor_core::manifest::{AppliedRun, Layout};
use compactor_core::ports::{Attributes, WallTime};
use compactor_core::{DeltaDigest, Fence, Lineage, RunId, Version};
use uuid::Uuid;

use crate::Limits;
use crate::published::Published;

/// What a new version is made from.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    /// The collection.
    pub lineage: &'a Lineage,
    /// The fence of the lease under which it is published.
    pub fence: Fence,
    /// The version that it follows; a first one follows none.
    pub base: Option<&'a Published>,
    /// The runs of the whole lineage, those of this version among them.
    pub applied_runs: &'a [RunId],
    /// The delta that each of them had, as far as it is known.
    pub applied_deltas: &'a BTreeMap<RunId, DeltaDigest>,
    /// What the runs of this version did to the records.
    pub runs: &'a [AppliedRun],
}

/// How versions are published.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// Whether a version is stored file by file or as one archive.
    pub layout: Layout,
    /// Upper bounds.
    pub limits: Limits,
    /// Program name and version, for manifests.
    pub created_by: String,
}

/// What tells one attempt to publish from all others.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) version: Version,
    pub(super) nonce: Uuid,
    pub(super) created_at: WallTime,
}

/// User metadata of the pointer and of the version's objects: what the Python compactor puts there, and
/// what tells two attempts apart.
pub(super) fn metadata_of(runs: usize, nonce: Uuid, fence: Fence) -> Attributes {
    let (runs, none) = (runs.to_string(), "0".to_owned());
    [
        ("update_type", "batch_compaction".to_owned()),
        ("message_count", runs.clone()),
        ("delta_merges", runs),
        // Kinds of messages that this program does not take.
        ("metadata_updates", none.clone()),
        ("label_updates", none.clone()),
        ("section_updates", none),
        ("nonce", nonce.to_string()),
        ("fence", fence.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
