//! One object: sent or copied, and then proved to be there as it was sent.

use std::path::Path;

use bytes::Bytes;
use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::ports::{
    Attributes, Condition, Fault, ObjectInfo, PortError, PortResult, PutOutcome,
};

use super::Context;
use crate::RunError;
use crate::error::About as _;
use crate::patience::persist;
use crate::snapshot::KnownFile;

/// Uploads the file `path` below `dir` as `key`.
///
/// What is uploaded and what the manifest will say are read independently; they have to agree.
pub(super) async fn send_file(
    context: &Context,
    key: &str,
    dir: &Path,
    path: &str,
    metadata: &Attributes,
) -> Result<KnownFile, RunError> {
    let (folder, name) = (dir.to_path_buf(), path.to_owned());
    let reading = tokio::task::spawn_blocking(move || KnownFile::read(&folder, &name));
    let (objects, source) = (context.ports.objects.as_ref(), dir.join(path));
    let sending = persist(&context.ports, &context.settings, || async {
        let sent = objects
            .upload(key, &source, Condition::IfAbsent, metadata)
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
            let object = stored(context, key, size).await?;
            if object.etag != etag {
                return Err(differs(key, "somebody else wrote it as well".to_owned()));
            }
            object
        }
        // The answer to a repeated put whose first answer was lost.
        _ => is_ours(context, key, dir, &known).await?,
    };
    Ok(known.stored_as(object))
}

/// Copies `from`, which is equal to the file `known`, to `key`, which is of this version alone: no
/// condition is needed, and a copy without one is a single request. `None` if that cannot be done:
/// then the file is to be sent.
pub(super) async fn copy_file(
    context: &Context,
    from: &ObjectInfo,
    key: &str,
    known: &KnownFile,
) -> Result<Option<KnownFile>, RunError> {
    let objects = context.ports.objects.as_ref();
    let copied = persist(&context.ports, &context.settings, || {
        objects.copy(&from.key, &from.etag, key, Condition::Always)
    })
    .await;
    let Ok(PutOutcome::Written(_)) = copied else {
        return Ok(None);
    };
    let object = stored(context, key, known.file.size).await?;
    Ok(Some(known.clone().stored_as(object)))
}

/// Uploads a small object.
pub(super) async fn send_small(
    context: &Context,
    key: &str,
    body: String,
    metadata: &Attributes,
) -> Result<(), RunError> {
    let body = Bytes::from(body);
    let objects = context.ports.objects.as_ref();
    let sent = persist(&context.ports, &context.settings, || async {
        let sent = objects
            .put(key, body.clone(), Condition::IfAbsent, metadata)
            .await?;
        refuse_conflict(key, &sent)?;
        Ok(sent)
    })
    .await
    .about(Resource::Upload)?;
    let size = body.len() as u64;
    if let PutOutcome::Written(_) = sent {
        return stored(context, key, size).await.map(drop);
    }
    match objects.get(key, size).await {
        Ok(Some(found)) if found.body == body => Ok(()),
        Ok(Some(_)) => Err(exists(key)),
        Ok(None) => Err(differs(key, "it is not there".to_owned())),
        Err(error) if error.fault == Fault::TooLarge => Err(exists(key)),
        Err(error) => Err(error).about(Resource::Upload),
    }
}

/// A conflict wrote nothing and wants to be asked again.
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

/// The object, which has to be there with that size.
async fn stored(context: &Context, key: &str, size: u64) -> Result<ObjectInfo, RunError> {
    match context
        .ports
        .objects
        .head(key)
        .await
        .about(Resource::Upload)?
    {
        Some(info) if info.size == size => Ok(info),
        Some(info) => Err(differs(
            key,
            format!("{} bytes, {size} were sent", info.size),
        )),
        None => Err(differs(key, "it is not there".to_owned())),
    }
}

/// An object that was there already is ours if it has the content of the file.
async fn is_ours(
    context: &Context,
    key: &str,
    dir: &Path,
    known: &KnownFile,
) -> Result<ObjectInfo, RunError> {
    let beside = dir.parent().unwrap_or(dir);
    let folder = tempfile::tempdir_in(beside).map_err(StoreError::from)?;
    let objects = context.ports.objects.as_ref();
    let copy = folder.path().join("object");
    let found = match objects.download(key, &copy, known.file.size).await {
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

fn differs(key: &str, detail: String) -> RunError {
    RunError::UploadDiffers {
        key: key.to_owned(),
        detail,
    }
}

fn exists(key: &str) -> RunError {
    RunError::UploadExists {
        key: key.to_owned(),
    }
}
