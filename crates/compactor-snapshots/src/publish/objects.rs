//! One object of a new version: sent or copied, and then proved to be stored as it was sent.

use std::path::Path;

use bytes::Bytes;
use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::ports::{
    Attributes, Condition, Fault, ObjectInfo, ObjectStore, PortError, PortResult, PutOutcome,
};

use crate::error::About as _;
use crate::working_copy::KnownFile;
use crate::{Error, Result, SnapshotRepository};

/// Where the objects of one version go.
pub(super) struct Objects<'a> {
    pub(super) repository: &'a SnapshotRepository,
    /// User metadata of each object.
    pub(super) metadata: &'a Attributes,
}

impl Objects<'_> {
    fn store(&self) -> &dyn ObjectStore {
        self.repository.store()
    }

    /// Uploads the file `path` below `dir` as `key`.
    ///
    /// What is uploaded and what the manifest will say are read independently; they have to agree.
    pub(super) async fn send_file(&self, key: &str, dir: &Path, path: &str) -> Result<KnownFile> {
        let (folder, name) = (dir.to_path_buf(), path.to_owned());
        let reading = tokio::task::spawn_blocking(move || KnownFile::read(&folder, &name));
        let (objects, source) = (self.store(), dir.join(path));
        let sending = self.repository.retry.call(|| async {
            let sent = objects
                .upload(key, &source, Condition::IfAbsent, self.metadata)
                .await?;
            refuse_conflict(key, &sent.outcome)?;
            Ok(sent)
        });
        let (known, sent) = tokio::join!(reading, sending);
        let (known, sent) = (known??, sent.about(Resource::Upload)?);
        let size = known.file.size;
        let object = match sent.outcome {
            PutOutcome::Written(etag) => {
                if sent.sha256.as_ref() != Some(&known.file.sha256) {
                    let sent = sent.sha256.unwrap_or_default();
                    let detail = format!("SHA-256 {sent} was sent, {} is there", known.file.sha256);
                    return Err(differs(key, detail));
                }
                let object = self.stored(key, size).await?;
                if object.etag != etag {
                    return Err(differs(key, "another writer wrote it as well".to_owned()));
                }
                object
            }
            // The answer to a repeated put whose first answer was lost.
            _ => self.is_ours(key, dir, &known).await?,
        };
        Ok(known.stored_as(object))
    }

    /// Copies `from`, which is equal to the file `known`, to `key`. The key belongs to this version
    /// alone, so the copy needs no condition and is a single request. Where the store cannot copy, this
    /// returns nothing, and the caller sends the file.
    pub(super) async fn copy_file(
        &self,
        from: &ObjectInfo,
        key: &str,
        known: &KnownFile,
    ) -> Result<Option<KnownFile>> {
        let objects = self.store();
        let copied = self
            .repository
            .retry
            .call(|| objects.copy(&from.key, &from.etag, key, Condition::Always))
            .await;
        let Ok(PutOutcome::Written(_)) = copied else {
            return Ok(None);
        };
        let object = self.stored(key, known.file.size).await?;
        Ok(Some(known.clone().stored_as(object)))
    }

    /// Uploads a small object.
    pub(super) async fn send_small(&self, key: &str, body: String) -> Result<()> {
        let body = Bytes::from(body);
        let objects = self.store();
        let sent = self
            .repository
            .retry
            .call(|| async {
                let sent = objects
                    .put(key, body.clone(), Condition::IfAbsent, self.metadata)
                    .await?;
                refuse_conflict(key, &sent)?;
                Ok(sent)
            })
            .await
            .about(Resource::Upload)?;
        let size = body.len() as u64;
        if let PutOutcome::Written(_) = sent {
            return self.stored(key, size).await.map(drop);
        }
        match objects.get(key, size).await {
            Ok(Some(found)) if found.body == body => Ok(()),
            Ok(Some(_)) => Err(exists(key)),
            Ok(None) => Err(differs(key, "it is not there".to_owned())),
            Err(error) if error.fault == Fault::TooLarge => Err(exists(key)),
            Err(error) => Err(error).about(Resource::Upload),
        }
    }

    /// The object, which has to be there with that size.
    async fn stored(&self, key: &str, size: u64) -> Result<ObjectInfo> {
        match self.store().head(key).await.about(Resource::Upload)? {
            Some(info) if info.size == size => Ok(info),
            Some(info) => Err(differs(
                key,
                format!("{} bytes, {size} were sent", info.size),
            )),
            None => Err(differs(key, "it is not there".to_owned())),
        }
    }

    /// An object that was there already is ours if it has the content of the file.
    async fn is_ours(&self, key: &str, dir: &Path, known: &KnownFile) -> Result<ObjectInfo> {
        let beside = dir.parent().unwrap_or(dir);
        let folder = tempfile::tempdir_in(beside).map_err(StoreError::from)?;
        let copy = folder.path().join("object");
        let found = match self.store().download(key, &copy, known.file.size).await {
            Err(error) if error.fault == Fault::TooLarge => return Err(exists(key)),
            found => found.about(Resource::Upload)?,
        };
        let Some(info) = found else {
            return Err(differs(key, "it is not there".to_owned()));
        };
        let read =
            tokio::task::spawn_blocking(move || KnownFile::read(folder.path(), "object")).await??;
        if read.file.sha256 == known.file.sha256 {
            Ok(info)
        } else {
            Err(exists(key))
        }
    }
}

/// A conflict wrote nothing, so the write may be repeated.
fn refuse_conflict(key: &str, outcome: &PutOutcome) -> PortResult<()> {
    if *outcome != PutOutcome::Conflict {
        return Ok(());
    }
    let reason = "another write was under way";
    Err(PortError::new(
        "upload object",
        key,
        Fault::Transient,
        reason,
    ))
}

fn differs(key: &str, detail: String) -> Error {
    Error::UploadDiffers {
        key: key.to_owned(),
        detail,
    }
}

fn exists(key: &str) -> Error {
    Error::UploadExists {
        key: key.to_owned(),
    }
}
