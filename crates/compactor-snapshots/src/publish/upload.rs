//! Uploading a new version. Nothing here moves the pointer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chroma_store::ClosedStore;
use compactor_core::manifest::{AppliedRun, FORMAT_VERSION, Layout, Parent, Rows};
use compactor_core::ports::{Attributes, Clock, Ids};
use compactor_core::snapshot_hash::{HashedFile, SnapshotHash};
use compactor_core::{DeltaDigest, Fence, FileEntry, Lineage, Manifest, RunId, Version, keys};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::archive;
use super::new_version::{Attempt, NewVersion, PublishSettings, metadata_of};
use super::objects::Objects;
use crate::merge_job::Verified;
use crate::working_copy::{KnownFile, KnownFiles};
use crate::{Error, Result, SnapshotRepository, WorkingCopy};

/// A version that is being uploaded: the closed directory, and what its manifest will say.
pub struct Upload {
    repository: SnapshotRepository,
    settings: PublishSettings,
    clock: Arc<dyn Clock>,
    store: Arc<ClosedStore>,
    /// The files of the working copy before the merge.
    before: KnownFiles,
    lineage: Lineage,
    attempt: Attempt,
    parent: Option<Parent>,
    fence: Fence,
    applied_runs: Vec<RunId>,
    applied_deltas: BTreeMap<RunId, DeltaDigest>,
    runs: Vec<AppliedRun>,
    metadata: Attributes,
}

/// The files of a version, sent.
pub struct Sent {
    files: KnownFiles,
    took: Duration,
}

impl SnapshotRepository {
    /// Mints a version for the closed directory `store`, and prepares its upload. `before` are the files
    /// of the working copy before the merge: those that the merge left alone are copied inside the store.
    ///
    /// # Errors
    /// The directory is larger than `limits.snapshot`: no later cycle could read it.
    pub fn prepare(
        &self,
        new: &NewVersion<'_>,
        (store, before): (Arc<ClosedStore>, KnownFiles),
        settings: &PublishSettings,
        (clock, ids): (&Arc<dyn Clock>, &dyn Ids),
    ) -> Result<Upload> {
        let limit = settings.limits.snapshot_bytes;
        if store.size()? > limit {
            return Err(Error::TooLarge {
                what: "the merged snapshot".to_owned(),
                limit,
                unit: "bytes",
                setting: "limits.snapshot",
            });
        }
        let (created_at, nonce) = (clock.wall(), ids.uuid());
        let parent = new.base.map(|base| &base.version);
        Ok(Upload {
            repository: self.clone(),
            settings: settings.clone(),
            clock: Arc::clone(clock),
            store,
            before,
            lineage: new.lineage.clone(),
            attempt: Attempt {
                version: Version::mint(created_at, ids.uuid(), parent),
                nonce,
                created_at,
            },
            parent: new.base.map(|base| Parent {
                version: base.version.clone(),
                etag: base.etag.0.clone(),
            }),
            fence: new.fence,
            metadata: metadata_of(new.runs.len(), nonce, new.fence),
            applied_runs: new.applied_runs.to_vec(),
            applied_deltas: new.applied_deltas.clone(),
            runs: new.runs.to_vec(),
        })
    }
}

impl Upload {
    /// Sends the files, or only digests them where they become one archive.
    ///
    /// # Errors
    /// A file cannot be read or sent, what arrived is not what was sent, or a program wrote to the
    /// directory.
    pub async fn send_files(&self) -> Result<Sent> {
        let began = self.clock.monotonic();
        let files: Vec<_> = self
            .store
            .paths()
            .map(|path| self.send_file(path.to_owned()))
            .collect();
        // In this task, so that no transfer goes on when this future is dropped.
        let files: KnownFiles = stream::iter(files)
            .buffer_unordered(self.settings.limits.transfers)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .collect();
        self.store.still_closed()?;
        let took = self.clock.monotonic().0.saturating_sub(began.0);
        Ok(Sent { files, took })
    }

    async fn send_file(&self, path: String) -> Result<KnownFile> {
        let dir = self.store.dir();
        if self.settings.layout == Layout::Archive {
            let dir = dir.to_path_buf();
            return tokio::task::spawn_blocking(move || KnownFile::read(&dir, &path)).await?;
        }
        let key = keys::file(&self.lineage, &self.attempt.version, &path);
        if let Some(known) = self.before.untouched(dir, &path)
            && let Some(from) = &known.object
            && let Some(copied) = self.objects().copy_file(from, &key, known).await?
        {
            return Ok(copied);
        }
        self.objects().send_file(&key, dir, &path).await
    }

    /// Sends what makes the files a version, the manifest last. No object is overwritten.
    ///
    /// # Errors
    /// The manifest would not be valid, or an object cannot be sent.
    pub async fn complete(self, sent: Sent, verified: &Verified) -> Result<Prepared> {
        let mut manifest = self.manifest(&sent, verified)?;
        let (lineage, version) = (&self.lineage, &self.attempt.version);
        let hash = match manifest.layout {
            Layout::Files => {
                let hashed = sent.files.files().map(|file| HashedFile {
                    path: file.path.clone(),
                    md5: file.md5.clone(),
                    size: file.size,
                });
                let at = self.attempt.created_at;
                SnapshotHash::of(hashed, at, sent.took.as_secs_f64()).to_json()
            }
            Layout::Archive => archive::send(&self.objects(), &self.store, &mut manifest).await?,
        };
        let key = keys::snapshot_hash(lineage, version);
        self.objects().send_small(&key, hash).await?;
        let key = keys::manifest(lineage, version);
        self.objects().send_small(&key, manifest.to_json()).await?;
        Ok(Prepared {
            store: self.store,
            files: sent.files,
            manifest,
            metadata: self.metadata,
        })
    }

    fn objects(&self) -> Objects<'_> {
        Objects {
            repository: &self.repository,
            metadata: &self.metadata,
        }
    }

    fn manifest(&self, sent: &Sent, verified: &Verified) -> Result<Manifest> {
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            collection: self.lineage.collection().clone(),
            version: self.attempt.version.clone(),
            parent: self.parent.clone(),
            fence: self.fence,
            nonce: self.attempt.nonce,
            created_at: self.attempt.created_at,
            created_by: self.settings.created_by.clone(),
            layout: self.settings.layout,
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
                records: verified.rows.records,
                dimension: verified.rows.dimension,
                space: verified.rows.space.to_string(),
                schema_level: verified.level.to_string(),
            },
        };
        manifest
            .validate(self.lineage.collection(), &self.attempt.version)
            .map_err(|source| Error::Manifest {
                version: self.attempt.version.to_string(),
                source,
            })?;
        Ok(manifest)
    }
}

/// A version that is complete, and that no pointer names yet.
#[derive(Debug)]
pub struct Prepared {
    store: Arc<ClosedStore>,
    files: KnownFiles,
    manifest: Manifest,
    metadata: Attributes,
}

impl Prepared {
    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of its files together.
    pub fn bytes(&self) -> u64 {
        let sizes = self.manifest.files.iter().map(|file| file.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// User metadata of the pointer and of the version's objects.
    pub(super) fn metadata(&self) -> &Attributes {
        &self.metadata
    }

    /// Keeps the directory for the collection's next cycle.
    ///
    /// # Errors
    /// It cannot be moved to a place of its own.
    pub fn keep(self, scratch: &crate::Scratch) -> std::io::Result<WorkingCopy> {
        WorkingCopy::keep(
            scratch,
            &self.manifest.version,
            self.store.dir(),
            self.files,
        )
    }
}
