//! What operators do about pointers: put back a lost one, replace one that names no version, accept what
//! another writer published.

use bytes::Bytes;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Attributes, Condition, PutOutcome, RunStore};
use compactor_core::{Lineage, Version, keys};
use uuid::Uuid;

use crate::error::About as _;
use crate::lost_pointer::completed_runs;
use crate::published::{ACCEPTED, Content, NONCE};
use crate::{Error, Result, SnapshotRepository};

/// Most bytes of a pointer that is replaced: it may be damaged.
const POINTER_BYTES: u64 = 1 << 20;

impl SnapshotRepository {
    /// Lets the pointer of a collection name a complete version. The pointer must be missing, name no
    /// version or an incomplete one, or name `instead_of`. Besides this only a cycle moves a pointer.
    /// `nonce` marks the new pointer as ours.
    ///
    /// # Errors
    /// The version is missing or incomplete, the pointer names another complete one, or another writer
    /// changed it meanwhile.
    pub async fn point(
        &self,
        lineage: &Lineage,
        version: &Version,
        instead_of: Option<&Version>,
        nonce: Uuid,
    ) -> Result<()> {
        self.refuse_missing(lineage, version).await?;
        let key = keys::pointer(lineage);
        let found = self.store().get(&key, POINTER_BYTES).await;
        let condition = match found.about(Resource::Pointer)? {
            None => Condition::IfAbsent,
            Some(object) => Condition::IfMatch(object.info.etag),
        };
        if condition != Condition::IfAbsent {
            match self.resolve(lineage).await {
                Ok(Some(published)) if published.version == *version => return Ok(()),
                Ok(Some(published)) if Some(&published.version) == instead_of => {}
                Ok(Some(published)) if !self.is_complete(&published.content).await? => {}
                Ok(Some(published)) => {
                    return Err(Error::PointerInUse {
                        collection: lineage.to_string(),
                        version: published.version.to_string(),
                    });
                }
                Ok(None)
                | Err(
                    Error::Pointer { .. }
                    | Error::PointerText { .. }
                    | Error::Manifest { .. }
                    | Error::ManifestMissing { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        let mut metadata = Attributes::new();
        if let Content::Manifest(manifest) = self.resolve_version(lineage, version, false).await? {
            self.refuse_incomplete(&manifest).await?;
            metadata.insert(NONCE.to_owned(), nonce.to_string());
        }
        self.put_pointer(lineage, version, condition, &metadata)
            .await
    }

    /// Accepts the version that another writer published, although most of our records are missing from
    /// it. Returns the version; one of ours needs no acceptance. `runs` tell whether a missing pointer was
    /// lost.
    ///
    /// # Errors
    /// Nothing is published, the pointer is lost, or another writer changed it meanwhile.
    pub async fn accept(&self, lineage: &Lineage, runs: &dyn RunStore) -> Result<Version> {
        let Some(published) = self.resolve(lineage).await? else {
            let records = runs.list(usize::MAX).await.about(Resource::RunRecord)?;
            let completed = completed_runs(&records, lineage.collection());
            self.refuse_lost_pointer(&completed, lineage).await?;
            return Err(Error::NothingPublished {
                collection: lineage.to_string(),
            });
        };
        if let Content::Legacy(_) = published.content {
            let metadata = Attributes::from([(ACCEPTED.to_owned(), published.version.to_string())]);
            let condition = Condition::IfMatch(published.etag);
            self.put_pointer(lineage, &published.version, condition, &metadata)
                .await?;
        }
        Ok(published.version)
    }

    /// Names a mistyped version before anything else that is wrong.
    async fn refuse_missing(&self, lineage: &Lineage, version: &Version) -> Result<()> {
        let versions = self.versions(lineage).await?;
        if versions.contains(version) {
            return Ok(());
        }
        Err(Error::VersionMissing {
            collection: lineage.to_string(),
            version: version.to_string(),
            newest: versions.last().map(ToString::to_string),
        })
    }

    /// Whether all files of a version are there; a version without a manifest was found by them.
    async fn is_complete(&self, content: &Content) -> Result<bool> {
        let Content::Manifest(manifest) = content else {
            return Ok(true);
        };
        match self.refuse_incomplete(manifest).await {
            Ok(()) => Ok(true),
            Err(Error::SnapshotFile { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn put_pointer(
        &self,
        lineage: &Lineage,
        version: &Version,
        condition: Condition,
        metadata: &Attributes,
    ) -> Result<()> {
        let (key, body) = (keys::pointer(lineage), Bytes::from(version.to_string()));
        let put = self.store().put(&key, body, condition, metadata).await;
        match put.about(Resource::Pointer)? {
            PutOutcome::Written(_) => Ok(()),
            PutOutcome::PreconditionFailed | PutOutcome::Conflict | PutOutcome::Absent => {
                Err(Error::Overtaken {
                    collection: lineage.to_string(),
                    times: 1,
                })
            }
        }
    }
}
