//! Uploading a new version: files, then `.snapshot_hash`, then the manifest, which makes it
//! complete. Nothing here moves the pointer.
//!
//! Files may go up before the directory is verified: without a manifest nobody sees them.

mod archive;
mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chroma_store::ClosedStore;
use compactor_core::manifest::{AppliedRun, FORMAT_VERSION, Layout, Parent, Rows};
use compactor_core::ports::{Attributes, WallTime};
use compactor_core::snapshot_hash::{HashedFile, SnapshotHash};
use compactor_core::{
    CollectionName, DeltaDigest, Fence, FileEntry, Manifest, RunId, Version, keys,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::Context;
use super::flush::Checked;
use crate::snapshot::{KnownFile, KnownFiles};
use crate::{Published, RunError};

/// What a version is made from.
pub(super) struct Origin<'a> {
    pub(super) collection: &'a CollectionName,
    pub(super) fence: Fence,
    pub(super) base: Option<&'a Published>,
    /// Run ids of the lineage, those of this version among them.
    pub(super) applied_runs: Vec<RunId>,
    /// And which deltas they had.
    pub(super) applied_deltas: BTreeMap<RunId, DeltaDigest>,
    /// What this version's runs did.
    pub(super) runs: Vec<AppliedRun>,
}

/// A version that is being uploaded: the closed directory and what is to be said of it.
pub(super) struct Upload {
    store: Arc<ClosedStore>,
    /// Of the working copy before the merge.
    before: KnownFiles,
    collection: CollectionName,
    version: Version,
    parent: Option<Parent>,
    fence: Fence,
    nonce: Uuid,
    created_at: WallTime,
    applied_runs: Vec<RunId>,
    applied_deltas: BTreeMap<RunId, DeltaDigest>,
    runs: Vec<AppliedRun>,
    metadata: Attributes,
}

/// The files of a version, sent.
pub(super) struct Sent {
    files: KnownFiles,
    took: Duration,
}

impl Upload {
    /// Mints the version.
    pub(super) fn prepare(
        context: &Context,
        origin: &Origin<'_>,
        store: Arc<ClosedStore>,
        before: KnownFiles,
    ) -> Result<Self, RunError> {
        let limit = context.settings.limits.snapshot_bytes;
        if store.size()? > limit {
            // No later cycle could read it.
            return Err(RunError::TooLarge {
                what: "the merged snapshot".to_owned(),
                limit,
                unit: "bytes",
                setting: "limits.snapshot",
            });
        }
        let ports = &context.ports;
        let created_at = ports.clock.wall();
        let base = origin.base;
        let nonce = ports.ids.uuid();
        Ok(Self {
            store,
            before,
            collection: origin.collection.clone(),
            version: Version::mint(created_at, ports.ids.uuid(), base.map(|base| &base.version)),
            parent: base.map(|base| Parent {
                version: base.version.clone(),
                etag: base.etag.0.clone(),
            }),
            fence: origin.fence,
            nonce,
            created_at,
            metadata: metadata_of(origin.runs.len(), nonce, origin.fence),
            applied_runs: origin.applied_runs.clone(),
            applied_deltas: origin.applied_deltas.clone(),
            runs: origin.runs.clone(),
        })
    }

    /// Sends the files, or only reads them where they become one archive.
    pub(super) async fn send_files(&self, context: &Context) -> Result<Sent, RunError> {
        let began = context.ports.clock.monotonic();
        let files: Vec<_> = self
            .store
            .paths()
            .map(|path| self.send_file(context, path.to_owned()))
            .collect();
        // In this task, so that none goes on when this is given up.
        let files: KnownFiles = stream::iter(files)
            .buffer_unordered(context.settings.limits.transfers)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .collect();
        self.store.still_closed()?;
        let took = context.ports.clock.monotonic().0.saturating_sub(began.0);
        Ok(Sent { files, took })
    }

    async fn send_file(&self, context: &Context, path: String) -> Result<KnownFile, RunError> {
        let dir = self.store.dir();
        if context.settings.layout == Layout::Archive {
            let dir = dir.to_path_buf();
            return tokio::task::spawn_blocking(move || KnownFile::read(&dir, &path)).await?;
        }
        let key = keys::file(&self.collection, &self.version, &path);
        if let Some(known) = self.before.untouched(dir, &path)
            && let Some(from) = &known.object
            && let Some(copied) = objects::copy_file(context, from, &key, known).await?
        {
            return Ok(copied);
        }
        objects::send_file(context, &key, dir, &path, &self.metadata).await
    }

    /// Sends what makes the files a version, the manifest last. Nothing is overwritten.
    pub(super) async fn complete(
        self,
        context: &Context,
        sent: Sent,
        checked: &Checked,
    ) -> Result<Uploaded, RunError> {
        let mut manifest = self.manifest(context, &sent, checked)?;
        let (collection, version) = (&self.collection, &self.version);
        let hash = match manifest.layout {
            Layout::Files => {
                let hashed = sent.files.files().map(|file| HashedFile {
                    path: file.path.clone(),
                    md5: file.md5.clone(),
                    size: file.size,
                });
                SnapshotHash::of(hashed, self.created_at, sent.took.as_secs_f64()).to_json()
            }
            Layout::Archive => {
                archive::send(context, &self.store, &mut manifest, &self.metadata).await?
            }
        };
        let key = keys::snapshot_hash(collection, version);
        objects::send_small(context, &key, hash, &self.metadata).await?;
        let key = keys::manifest(collection, version);
        objects::send_small(context, &key, manifest.to_json(), &self.metadata).await?;
        Ok(Uploaded {
            store: self.store,
            files: sent.files,
            manifest,
            metadata: self.metadata,
        })
    }

    fn manifest(
        &self,
        context: &Context,
        sent: &Sent,
        checked: &Checked,
    ) -> Result<Manifest, RunError> {
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            collection: self.collection.clone(),
            version: self.version.clone(),
            parent: self.parent.clone(),
            fence: self.fence,
            nonce: self.nonce,
            created_at: self.created_at,
            created_by: context.settings.created_by.clone(),
            layout: context.settings.layout,
            applied_runs: self.applied_runs.clone(),
            applied_deltas: self.applied_deltas.clone(),
            runs: self.runs.clone(),
            archive: None,
            files: sent
                .files
                .files()
                .map(|file| FileEntry {
                    path: file.path.clone(),
                    size: file.size,
                    sha256: file.sha256.clone(),
                })
                .collect(),
            rows: Rows {
                records: checked.rows.records,
                dimension: checked.rows.dimension,
                space: checked.rows.space.to_string(),
                schema_level: checked.level.to_string(),
            },
        };
        manifest
            .validate(&self.collection, &self.version)
            .map_err(|source| RunError::Manifest {
                version: self.version.to_string(),
                source,
            })?;
        Ok(manifest)
    }
}

/// A version that is complete, and that the pointer does not name yet.
pub(super) struct Uploaded {
    store: Arc<ClosedStore>,
    files: KnownFiles,
    manifest: Manifest,
    metadata: Attributes,
}

impl Uploaded {
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// User metadata of the pointer and of the version's objects.
    pub(super) fn metadata(&self) -> &Attributes {
        &self.metadata
    }

    /// Keeps the directory for the collection's next cycle.
    pub(super) fn keep(self, context: &Context) {
        let (collection, version) = (&self.manifest.collection, &self.manifest.version);
        let kept = context.kept.keep(
            &context.scratch,
            collection,
            version,
            self.store.dir(),
            self.files,
        );
        if let Err(error) = kept {
            tracing::info!(%error, "no working copy is kept");
        }
    }
}

/// What the Python compactor puts on its objects, and what tells two attempts apart.
fn metadata_of(runs: usize, nonce: Uuid, fence: Fence) -> Attributes {
    let (runs, none) = (runs.to_string(), "0".to_owned());
    [
        ("update_type", "batch_compaction".to_owned()),
        ("message_count", runs.clone()),
        ("delta_merges", runs),
        // Kinds of messages that this daemon does not take.
        ("metadata_updates", none.clone()),
        ("label_updates", none.clone()),
        ("section_updates", none),
        ("nonce", nonce.to_string()),
        ("fence", fence.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
