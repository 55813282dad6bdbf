//! The layout in which a version is one archive.

use std::io::BufWriter;
use std::sync::Arc;

use chroma_store::{ClosedStore, StoreError, pack};
use compactor_core::manifest::ArchiveEntry;
use compactor_core::{Manifest, keys};

use super::objects::Objects;
use crate::{Error, Result};

/// Packs the directory beside itself and uploads it. Notes the archive in the manifest, and gives the
/// body of the hash object.
pub(super) async fn send(
    objects: &Objects<'_>,
    store: &Arc<ClosedStore>,
    manifest: &mut Manifest,
) -> Result<String> {
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
        Ok::<_, Error>(())
    })
    .await??;
    let key = keys::snapshot_archive(&manifest.lineage(), &manifest.version);
    let sent = objects.send_file(&key, folder.path(), NAME).await?;
    manifest.archive = Some(ArchiveEntry {
        size: sent.file.size,
        sha256: sent.file.sha256,
    });
    Ok(format!("md5:{}", sent.file.md5))
}

const NAME: &str = "snapshot.tar.gz";
