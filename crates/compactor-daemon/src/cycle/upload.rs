//! Uploading a new version: files, then `.snapshot_hash`, then the manifest, which makes it
//! complete. Nothing here moves the pointer.

use std::collections::HashMap;
use std::io::BufWriter;
use std::sync::Arc;

use bytes::Bytes;
use chroma_store::{ClosedStore, StoreError, pack};
use compactor_core::manifest::{AppliedRun, FORMAT_VERSION, Layout, Parent, Rows};
use compactor_core::ports::{
    Attributes, Condition, Fault, ObjectStore, PortError, PortResult, PutOutcome,
};
use compactor_core::snapshot_hash::{HashedFile, SnapshotHash};
use compactor_core::{Fence, FileEntry, Manifest, RunId, Version, keys};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Context;
use super::fold::Folded;
use crate::patience::persist;
use crate::snapshot::md5_of;
use crate::{Published, RunError};

/// A new version: the closed directory and what is to be said of it.
pub(super) struct Upload {
    store: Arc<ClosedStore>,
    manifest: Manifest,
    hash: SnapshotHash,
    metadata: Attributes,
    /// Objects of the version before, by what is in them.
    before: HashMap<Content, String>,
}

/// SHA-256 and size.
type Content = (String, u64);

impl Upload {
    /// Mints the version and writes its manifest.
    pub(super) fn prepare(
        context: &Context,
        fence: Fence,
        base: Option<&Published>,
        applied_runs: Vec<RunId>,
        runs: Vec<AppliedRun>,
        folded: Folded,
    ) -> Result<Self, RunError> {
        let ports = &context.ports;
        let limit = context.settings.limits.snapshot_bytes;
        if folded.files.iter().map(|file| file.size).sum::<u64>() > limit {
            // No later cycle could read it.
            return Err(RunError::TooLarge {
                what: "the merged snapshot".to_owned(),
                limit,
            });
        }
        let collection = collection_of(&folded)?;
        let now = ports.clock.wall();
        let version = Version::mint(now, ports.ids.uuid(), base.map(|base| &base.version));
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            collection: collection.clone(),
            version: version.clone(),
            parent: base.map(|base| Parent {
                version: base.version.clone(),
                etag: base.etag.0.clone(),
            }),
            fence,
            nonce: ports.ids.uuid(),
            created_at: now,
            created_by: context.settings.created_by.clone(),
            layout: context.settings.layout,
            applied_runs,
            runs,
            files: folded
                .files
                .iter()
                .map(|file| FileEntry {
                    path: file.path.clone(),
                    size: file.size,
                    sha256: file.sha256.clone(),
                })
                .collect(),
            rows: Rows {
                records: folded.rows.records,
                dimension: folded.rows.dimension,
                space: folded.rows.space.to_string(),
                schema_level: folded.level.to_string(),
            },
        };
        manifest
            .validate(&collection, &version)
            .map_err(|source| RunError::Manifest {
                version: version.to_string(),
                source,
            })?;
        let hashed = folded.files.into_iter().map(|file| HashedFile {
            path: file.path,
            md5: file.md5,
            size: file.size,
        });
        let hash = SnapshotHash::of(hashed, now, folded.digesting.as_secs_f64());
        let metadata = metadata_of(&manifest);

        Ok(Self {
            before: HashMap::new(),
            store: Arc::new(folded.store),
            manifest,
            hash,
            metadata,
        })
    }

    /// Copies what did not change since `base`, whose objects were checked in this cycle.
    pub(super) fn copying(mut self, base: Option<&Published>) -> Self {
        let before = base.and_then(Published::manifest).map(objects_of);
        self.before = before.unwrap_or_default();
        self
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The version that it makes.
    pub(super) fn version(&self) -> &Version {
        &self.manifest.version
    }

    /// User metadata of the pointer and of the version's objects.
    pub(super) fn metadata(&self) -> &Attributes {
        &self.metadata
    }

    /// Keeps the directory for the collection's next cycle.
    pub(super) fn keep(&self, context: &Context) {
        let (collection, version) = (&self.manifest.collection, &self.manifest.version);
        let dir = self.store.dir();
        if let Err(error) = context
            .kept
            .keep(&context.scratch, collection, version, dir)
        {
            tracing::info!(%error, "no working copy is kept");
        }
    }

    /// Uploads everything, the manifest last. Nothing is overwritten.
    pub(super) async fn send(&self, context: &Context) -> Result<(), RunError> {
        let hash = match self.manifest.layout {
            Layout::Files => {
                self.send_files(context).await?;
                self.hash.to_json()
            }
            Layout::Archive => self.send_archive(context).await?,
        };
        let (collection, version) = (&self.manifest.collection, &self.manifest.version);
        self.send_small(context, &keys::snapshot_hash(collection, version), hash)
            .await?;
        let manifest = self.manifest.to_json();
        self.send_small(context, &keys::manifest(collection, version), manifest)
            .await
    }

    async fn send_files(&self, context: &Context) -> Result<(), RunError> {
        let slots = Arc::new(Semaphore::new(context.settings.limits.transfers));
        let mut transfers = JoinSet::new();
        for file in self.manifest.files.clone() {
            let key = keys::file(
                &self.manifest.collection,
                &self.manifest.version,
                &file.path,
            );
            let source = self.store.dir().join(&file.path);
            let (context, slots, metadata) =
                (context.clone(), Arc::clone(&slots), self.metadata.clone());
            let before = self.before.get(&(file.sha256.clone(), file.size)).cloned();
            transfers.spawn(async move {
                // The semaphore is never closed.
                let _slot = slots.acquire().await;
                let objects = context.ports.objects.as_ref();
                if let Some(before) = before
                    && is_copied(&context, &before, &key).await
                {
                    return settle(objects, &key, file.size, Ok(PutOutcome::PreconditionFailed))
                        .await;
                }
                let sent = persist(&context.ports, &context.settings, || async {
                    let sent = objects.upload(&key, &source, Condition::IfAbsent, &metadata);
                    answered(&key, sent.await)
                })
                .await;
                settle(objects, &key, file.size, sent).await
            });
        }
        while let Some(outcome) = transfers.join_next().await {
            outcome??;
        }
        Ok(())
    }

    /// Packs the directory beside itself and uploads it; gives the body of the hash object.
    async fn send_archive(&self, context: &Context) -> Result<String, RunError> {
        let (store, packed) = (
            Arc::clone(&self.store),
            self.store.dir().with_extension("tar.gz"),
        );
        let key = keys::snapshot_archive(&self.manifest.collection, &self.manifest.version);
        let path = packed.clone();
        // A Python writer that starts from this version takes it along, as it does from files.
        let manifest = self.manifest.to_json();
        let (size, md5) = tokio::task::spawn_blocking(move || {
            let file = fs_err::File::create(&path).map_err(StoreError::from)?;
            let notes = [(keys::MANIFEST_NAME, manifest.as_bytes())];
            let file = pack(&store, &notes, BufWriter::new(file))?.into_inner();
            let file = file.map_err(|error| StoreError::from(error.into_error()))?;
            let size = file.metadata().map_err(StoreError::from)?.len();
            Ok::<_, RunError>((size, md5_of(&path)?))
        })
        .await??;
        let objects = context.ports.objects.as_ref();
        let sent = persist(&context.ports, &context.settings, || async {
            let sent = objects.upload(&key, &packed, Condition::IfAbsent, &self.metadata);
            answered(&key, sent.await)
        })
        .await;
        settle(objects, &key, size, sent).await?;
        tokio::fs::remove_file(&packed)
            .await
            .map_err(StoreError::from)?;
        Ok(format!("md5:{md5}"))
    }

    async fn send_small(&self, context: &Context, key: &str, body: String) -> Result<(), RunError> {
        let body = Bytes::from(body);
        let objects = context.ports.objects.as_ref();
        let sent = persist(&context.ports, &context.settings, || async {
            let sent = objects.put(key, body.clone(), Condition::IfAbsent, &self.metadata);
            answered(key, sent.await)
        })
        .await;
        settle(objects, key, body.len() as u64, sent).await
    }
}

/// A conflict wrote nothing and wants to be asked again.
fn answered(key: &str, sent: PortResult<PutOutcome>) -> PortResult<PutOutcome> {
    match sent {
        Ok(PutOutcome::Conflict) => {
            let reason = "another write was under way";
            Err(PortError::new(
                "upload object",
                key,
                Fault::Transient,
                reason,
            ))
        }
        sent => sent,
    }
}

/// The objects of a version that has one per file.
fn objects_of(manifest: &Manifest) -> HashMap<Content, String> {
    if manifest.layout != Layout::Files {
        return HashMap::new();
    }
    let key = |file: &FileEntry| keys::file(&manifest.collection, &manifest.version, &file.path);
    let files = manifest.files.iter();
    files
        .map(|file| ((file.sha256.clone(), file.size), key(file)))
        .collect()
}

/// Copies an object of the version before inside the store. What cannot be copied is uploaded.
async fn is_copied(context: &Context, from: &str, to: &str) -> bool {
    let objects = context.ports.objects.as_ref();
    let copied = persist(&context.ports, &context.settings, || {
        objects.copy(from, to, Condition::IfAbsent)
    })
    .await;
    matches!(
        copied,
        Ok(PutOutcome::Written(_) | PutOutcome::PreconditionFailed)
    )
}

/// Checks that the object is there with its size. "Exists already" is the answer to a repeated
/// put whose first answer was lost; the size tells.
async fn settle(
    objects: &dyn ObjectStore,
    key: &str,
    size: u64,
    sent: PortResult<PutOutcome>,
) -> Result<(), RunError> {
    let outcome = sent?;
    let differs = |detail: String| RunError::UploadDiffers {
        key: key.to_owned(),
        detail,
    };
    match (outcome, objects.head(key).await?) {
        (_, None) => Err(differs("it is not there".to_owned())),
        (PutOutcome::Written(_), Some(info)) if info.size == size => Ok(()),
        (PutOutcome::PreconditionFailed, Some(info)) if info.size == size => Ok(()),
        (PutOutcome::Written(_), Some(info)) => {
            Err(differs(format!("{} bytes, {size} were sent", info.size)))
        }
        (_, Some(_)) => Err(RunError::UploadExists {
            key: key.to_owned(),
        }),
    }
}

fn collection_of(folded: &Folded) -> Result<compactor_core::CollectionName, RunError> {
    folded
        .rows
        .name
        .parse()
        .map_err(|error: compactor_core::NameError| RunError::Task {
            detail: error.to_string(),
        })
}

/// What the Python compactor puts on its objects, and what tells two attempts apart.
fn metadata_of(manifest: &Manifest) -> Attributes {
    let runs = manifest.runs.len().to_string();
    [
        ("update_type", "batch_compaction".to_owned()),
        ("message_count", runs.clone()),
        ("delta_merges", runs),
        ("nonce", manifest.nonce.to_string()),
        ("fence", manifest.fence.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
