//! Fetching what a cycle works on: the deltas of its runs and the published snapshot.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chroma_store::StoreError;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Context;
use super::batch::Batch;
use crate::snapshot::{Ancestor, KnownFiles};
use crate::{Published, RunError, delta, snapshot};

/// Where the delta of the run `at` of a batch goes.
pub(super) fn delta_dir(scratch: &Path, at: usize) -> PathBuf {
    // No other path begins with it.
    scratch.join(format!("delta-{at}.d"))
}

/// Fetches the delta of every open run; each has its own outcome.
pub(super) async fn deltas(
    context: &Context,
    batch: &Batch<'_>,
    scratch: &Path,
) -> Result<Vec<(usize, Result<PathBuf, RunError>)>, RunError> {
    let slots = Arc::new(Semaphore::new(context.settings.limits.transfers));
    let mut transfers = JoinSet::new();
    for (at, message) in batch.open() {
        let (location, limits) = (message.location.clone(), context.settings.limits);
        let (objects, slots) = (Arc::clone(&context.ports.objects), Arc::clone(&slots));
        let dir = delta_dir(scratch, at);
        transfers.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            let fetching = delta::fetch(objects.as_ref(), &location, &dir, &limits);
            // What makes a library panic is this delta's, and must not fail the others.
            let outcome = AssertUnwindSafe(fetching).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|panic| Err(RunError::panicked(panic.as_ref())));
            (at, outcome.map(|()| dir))
        });
    }
    let mut fetched = Vec::new();
    while let Some(outcome) = transfers.join_next().await {
        fetched.push(outcome?);
    }
    Ok(fetched)
}

/// How many objects are tried.
const OTHERS: usize = 3;

/// Whether the delta of a run that is not in the batch can be read: then those that cannot are their
/// producers' own trouble.
pub(super) async fn can_read_another(batch: &Batch<'_>) -> bool {
    let objects = batch.objects();
    let own: Vec<&str> = batch
        .open()
        .map(|(_, message)| message.location.prefix.as_str())
        .collect();
    let folder = own.first().and_then(|prefix| {
        let (folder, _) = prefix.trim_end_matches('/').rsplit_once('/')?;
        Some(format!("{folder}/"))
    });
    let Some(folder) = folder else { return false };
    let Ok(page) = objects.list(&folder, None).await else {
        return false;
    };
    let is_other = |key: &str| !own.iter().any(|prefix| key.starts_with(prefix));
    let others = page.entries.iter().filter(|info| is_other(&info.key));
    for info in others.take(OTHERS) {
        if let Ok(Some(_)) = objects.head(&info.key).await {
            return true;
        }
    }
    false
}

/// How the published snapshot was had.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// Its files, and the objects that they are equal to.
    pub(super) files: KnownFiles,
    /// What a version of a Python writer was made from.
    pub(super) ancestor: Ancestor,
}

/// Gets the published snapshot, if there is one, into the new folder `work`: the copy that was kept
/// of it, or a download.
pub(super) async fn base(
    context: &Context,
    base: Option<&Published>,
    work: &Path,
) -> Result<Base, RunError> {
    let Some(base) = base else {
        return Ok(Base::default());
    };
    if let Some(files) = kept(context, base, work).await? {
        return Ok(Base {
            files,
            ..Base::default()
        });
    }
    tokio::fs::create_dir(work)
        .await
        .map_err(StoreError::from)?;
    let (objects, limits) = (&context.ports.objects, &context.settings.limits);
    let files = snapshot::fetch(objects, base, work, limits).await?;
    let ancestor = match base.manifest() {
        Some(_) => Ancestor::None,
        None => snapshot::ancestor(&base.collection, work).await?,
    };
    Ok(Base { files, ancestor })
}

/// The files of a copy that was kept and is still what was published; then it is at `work`.
async fn kept(
    context: &Context,
    base: &Published,
    work: &Path,
) -> Result<Option<KnownFiles>, RunError> {
    let Some(manifest) = base.manifest() else {
        return Ok(None);
    };
    let taken = context
        .kept
        .take(&base.collection, &base.version, work)
        .map_err(StoreError::from)?;
    let Some(files) = taken else {
        return Ok(None);
    };
    if files.are(manifest, work) {
        return Ok(Some(files));
    }
    tracing::info!(version = %base.version, "somebody wrote to the kept copy: downloading it again");
    tokio::fs::remove_dir_all(work)
        .await
        .map_err(StoreError::from)?;
    Ok(None)
}
