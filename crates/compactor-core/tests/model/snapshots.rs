//! Versions in the store: real ids, real manifests, and which of their objects exist.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use compactor_core::manifest::{AppliedRun, FORMAT_VERSION, Layout, Parent, Rows};
use compactor_core::ports::{ETag, WallTime};
use compactor_core::swap::Seen;
use compactor_core::{CollectionName, Fence, FileEntry, Manifest, RunId, Version};
use uuid::Uuid;

use super::protocol::Clock;
use super::world::Runs;

/// The only collection.
pub(crate) static COLLECTION: LazyLock<CollectionName> =
    LazyLock::new(|| "lines".parse().expect("an allowed name"));

static RUN_IDS: LazyLock<[RunId; 3]> =
    LazyLock::new(|| ["a", "b", "c"].map(|id| id.parse().expect("an allowed id")));

/// The id of a run.
pub(crate) fn run_id(run: usize) -> &'static RunId {
    &RUN_IDS[run]
}

/// What the manifest says of each of these runs.
pub(crate) fn applied(runs: Runs) -> Vec<AppliedRun> {
    let one = |run| AppliedRun {
        run_id: run_id(run).clone(),
        added: 1,
        updated: 0,
        deleted: 0,
        merged: 1,
        ignored: 0,
    };
    runs.iter().map(one).collect()
}

/// The random part of the id of version number `ordinal`, which no other version has.
pub(crate) fn random(ordinal: usize) -> Uuid {
    // An id ends in the first 32 bits.
    Uuid::from_u128((ordinal as u128) << 96)
}

/// Which objects of a version exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Objects {
    /// Its files, and no manifest yet.
    Files,
    /// All of them.
    All,
    /// Its manifest, and not all of its files: it is being deleted.
    Manifest,
    /// None.
    None,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    /// What was or will be uploaded.
    pub(crate) content: Arc<Content>,
    /// Which of its objects exist.
    pub(crate) objects: Objects,
}

impl Snapshot {
    /// A version whose upload has begun.
    pub(crate) fn begun(content: Content) -> Self {
        Self {
            content: Arc::new(content),
            objects: Objects::Files,
        }
    }

    /// A published version that contains no run.
    pub(crate) fn empty() -> Self {
        let version = Version::mint(Clock::Right.wall(0), random(0), None);
        let manifest = manifest(version, None, Fence(0), Runs::NONE, Vec::new());
        Self {
            objects: Objects::All,
            ..Self::begun(Content::of(manifest, None))
        }
    }

    /// What reading its manifest gives.
    pub(crate) fn read_manifest(&self) -> Seen<Manifest> {
        match (self.objects, &self.content.manifest) {
            (Objects::All | Objects::Manifest, Some(manifest)) => Seen::Found(manifest.clone()),
            _ => Seen::Absent,
        }
    }
}

/// What a version consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its id.
    pub(crate) version: Version,
    /// The version it was made from, by its place.
    pub(crate) made_from: Option<usize>,
    /// Its manifest; the legacy writer makes none.
    pub(crate) manifest: Option<Manifest>,
    /// The manifest that the legacy writer took along from its base.
    pub(crate) ancestor: Option<Manifest>,
}

impl Content {
    /// One that its manifest describes.
    pub(crate) fn of(manifest: Manifest, made_from: Option<usize>) -> Self {
        Self {
            version: manifest.version.clone(),
            made_from,
            manifest: Some(manifest),
            ancestor: None,
        }
    }

    /// The newest manifest of its lineage.
    pub(crate) fn lineage(&self) -> Option<&Manifest> {
        self.manifest.as_ref().or(self.ancestor.as_ref())
    }

    /// The tag of a pointer that names it.
    pub(crate) fn tag(&self) -> ETag {
        ETag(format!("\"{}\"", self.version))
    }

    /// The tag that the pointer had when it named what this was made from.
    pub(crate) fn base_tag(&self) -> Option<ETag> {
        let parent = self.manifest.as_ref()?.parent.as_ref()?;
        Some(ETag(parent.etag.clone()))
    }

    /// Whether it is a copy of an older version.
    pub(crate) fn is_rollback(&self) -> bool {
        let merged = self.manifest.as_ref().map(|manifest| &manifest.runs);
        merged.is_some_and(Vec::is_empty)
    }
}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.version, self.made_from).hash(state);
        hash_manifest(self.manifest.as_ref(), state);
        hash_manifest(self.ancestor.as_ref(), state);
    }
}

/// What tells the manifests of this model apart.
fn hash_manifest(manifest: Option<&Manifest>, state: &mut impl Hasher) {
    let identity = manifest.map(|manifest| {
        let runs: Vec<&RunId> = manifest.runs.iter().map(|run| &run.run_id).collect();
        (
            &manifest.version,
            manifest.fence,
            runs,
            &manifest.applied_runs,
        )
    });
    identity.hash(state);
}

/// The manifest of a version, as the daemon writes it.
pub(crate) fn manifest(
    version: Version,
    parent: Option<&Content>,
    fence: Fence,
    runs: Runs,
    applied_runs: Vec<RunId>,
) -> Manifest {
    let parent = parent.map(|parent| Parent {
        version: parent.version.clone(),
        etag: parent.tag().0,
    });
    Manifest {
        format_version: FORMAT_VERSION,
        collection: COLLECTION.clone(),
        version,
        parent,
        fence,
        nonce: Uuid::nil(),
        created_at: WallTime(0),
        created_by: String::new(),
        layout: Layout::Files,
        runs: applied(runs),
        applied_runs,
        applied_deltas: std::collections::BTreeMap::new(),
        archive: None,
        files: vec![FileEntry {
            path: "chroma.sqlite3".to_owned(),
            size: 1,
            sha256: "00".repeat(32),
        }],
        rows: Rows {
            records: 1,
            dimension: None,
            space: String::new(),
            schema_level: String::new(),
        },
    }
}
