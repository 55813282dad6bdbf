//! The layout in which a version is one archive.

use std::io::BufWriter;
use std::sync::Arc;

use chroma_store::{ClosedStore, StoreError, pack};
use compactor_core::manifest::ArchiveEntry;
use compactor_core::ports::Attributes;
use compactor_core::{Manifest, keys};

use super::Context;
use super::objects::send_file;
use crate::RunError;

/// Packs the directory beside itself and uploads it. Notes the archive in the manifest, and gives the
/// body of the hash object.
pub(super) async fn send(
    context: &Context,
    store: &Arc<ClosedStore>,
    manifest: &mut Manifest,
    metadata: &Attributes,
) -> Result<String, RunError> {
    let beside = store.dir().parent().unwrap_or(store.dir());
    let folder = tempfile::tempdir_in(beside).map_err(StoreError::from)?;
    let path = folder.path().join(NAME);
    // A Python writer that starts from this version takes it along, as it does from files.
    let (store, note) = (Arc::clone(store), manifest.to_json());
    tokio::task::spawn_blocking(move || {
        let file = fs_err::File::create(&path).map_err(StoreError::from)?;
        let notes = [(keys::MANIFEST_NAME, note.as_bytes())];
        let file = pack(&store, &notes, BufWriter::new(file))?.into_inner();
        file.map_err(|error| StoreError::from(error.into_error()))?;
        Ok::<_, RunError>(())
    })
    .await??;
    let key = keys::snapshot_archive(&manifest.collection, &manifest.version);
    let sent = send_file(context, &key, folder.path(), NAME, metadata).await?;
    manifest.archive = Some(ArchiveEntry {
        size: sent.file.size,
        sha256: sent.file.sha256,
    });
    Ok(format!("md5:{}", sent.file.md5))
}

const NAME: &str = "snapshot.tar.gz";
