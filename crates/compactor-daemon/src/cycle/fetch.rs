//! Fetching what a cycle works on: the deltas of its runs and the published snapshot.

use std::any::Any;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chroma_store::StoreError;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::task::JoinSet;

use super::Context;
use super::batch::Batch;
use super::room::{RoomBefore, bytes_below};
use crate::snapshot::{Ancestor, KnownFiles};
use crate::{Limits, Published, RunError, delta, snapshot};

/// Where the delta of the run `at` of a batch goes.
pub(super) fn delta_dir(scratch: &Path, at: usize) -> PathBuf {
    // No other path begins with it.
    scratch.join(format!("delta-{at}.d"))
}

/// A delta that was fetched.
#[derive(Debug, Clone)]
pub(super) struct OnDisk {
    pub(super) dir: PathBuf,
    pub(super) bytes: u64,
}

/// What became of the deltas, by the first place in the batch that names each.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) outcomes: Vec<(usize, Result<OnDisk, RunError>)>,
    /// There was no room for them beside the others: they are for another cycle.
    pub(super) postponed: Vec<usize>,
}

/// Fetches the deltas of all open runs, each once, as many as `limits.batch` and the disk have room for.
pub(super) async fn deltas(
    context: &Context,
    batch: &Batch<'_>,
    scratch: &Path,
) -> Result<Fetched, RunError> {
    let limits = &context.settings.limits;
    let objects = &context.ports.objects;
    let places = batch.places().into_iter();
    let places: Vec<_> = places.map(|(at, place)| (at, place.clone())).collect();
    let finding = places
        .into_iter()
        .map(|(at, place)| async move { (at, delta::find(objects, &place, limits).await) });
    let found: Vec<_> = stream::iter(finding)
        .buffered(limits.transfers)
        .collect()
        .await;
    let mut transfers = Transfers {
        limits: *limits,
        room: batch.room(),
        scratch: scratch.to_path_buf(),
        waiting: VecDeque::new(),
        running: JoinSet::new(),
        left: limits.batch_bytes,
        one_by_one: false,
        fetched: Fetched::default(),
    };
    for (at, outcome) in found {
        match outcome {
            Ok(found) => transfers.waiting.push_back((at, Arc::new(found))),
            Err(error) => transfers.fetched.outcomes.push((at, Err(error))),
        }
    }
    transfers.run().await
}

/// Deltas that are being fetched. What one may take at most is set aside for it until it is there.
struct Transfers {
    limits: Limits,
    room: RoomBefore,
    scratch: PathBuf,
    waiting: VecDeque<(usize, Arc<delta::Found>)>,
    running: JoinSet<(usize, Arc<delta::Found>, Result<u64, RunError>)>,
    /// Bytes of `limits.batch` that are not spoken for.
    left: u64,
    /// The disk was full: the next one begins when no other is under way.
    one_by_one: bool,
    fetched: Fetched,
}

impl Transfers {
    async fn run(mut self) -> Result<Fetched, RunError> {
        loop {
            self.begin();
            let Some(ended) = self.running.join_next().await else {
                // There is none that could make room for those that wait.
                let waiting = self.waiting.into_iter();
                self.fetched.postponed.extend(waiting.map(|(at, _)| at));
                return Ok(self.fetched);
            };
            let (at, found, outcome) = ended?;
            self.ended(at, found, outcome).await?;
        }
    }

    /// Begins what there is room for.
    fn begin(&mut self) {
        while let Some((_, found)) = self.waiting.front() {
            let most = found.most_bytes(&self.limits);
            let is_first = self.running.is_empty() && !self.has_some();
            let slots = match self.one_by_one {
                true => 1,
                false => self.limits.transfers,
            };
            let fits = self.running.len() < slots && most <= self.left;
            if !fits && !is_first {
                return;
            }
            self.left = self.left.saturating_sub(most);
            if let Some((at, found)) = self.waiting.pop_front() {
                let (dir, limits) = (delta_dir(&self.scratch, at), self.limits);
                self.running.spawn(async move {
                    let fetching = found.fetch(&dir, &limits);
                    // What makes a library panic is this delta's, and must not fail the others.
                    let outcome = AssertUnwindSafe(fetching).catch_unwind().await;
                    let panicked = |panic: Box<dyn Any + Send>| Err(RunError::panicked(&*panic));
                    (at, found, outcome.unwrap_or_else(panicked))
                });
            }
        }
    }

    /// Whether one is there already, so that the cycle has something to do.
    fn has_some(&self) -> bool {
        let mut outcomes = self.fetched.outcomes.iter();
        outcomes.any(|(_, outcome)| outcome.is_ok())
    }

    async fn ended(
        &mut self,
        at: usize,
        found: Arc<delta::Found>,
        outcome: Result<u64, RunError>,
    ) -> Result<(), RunError> {
        let most = found.most_bytes(&self.limits);
        let dir = delta_dir(&self.scratch, at);
        match outcome {
            Ok(bytes) => {
                self.left = self.left.saturating_add(most.saturating_sub(bytes));
                let delta = OnDisk { dir, bytes };
                self.fetched.outcomes.push((at, Ok(delta)));
            }
            Err(error) if error.is_out_of_space() => {
                let bytes = [&dir, &dir.with_extension("tar.gz")].map(|path| bytes_below(path));
                remove(&dir).await?;
                self.left = self.left.saturating_add(most);
                self.one_by_one = true;
                if self.has_some() {
                    tracing::warn!(%error, "there is no room for all deltas at a time");
                    let waiting = std::mem::take(&mut self.waiting).into_iter();
                    let postponed = std::iter::once(at).chain(waiting.map(|(at, _)| at));
                    self.fetched.postponed.extend(postponed);
                } else if self.running.is_empty() {
                    let bytes = bytes.iter().sum();
                    let error = self.room.blame(error, bytes, found.prefix());
                    self.fetched.outcomes.push((at, Err(error)));
                } else {
                    self.waiting.push_front((at, found));
                }
            }
            Err(error) => {
                // What it has taken until then is the others' again.
                remove(&dir).await?;
                self.left = self.left.saturating_add(most);
                self.fetched.outcomes.push((at, Err(error)));
            }
        }
        Ok(())
    }
}

async fn remove(dir: &Path) -> Result<(), RunError> {
    for removed in [
        tokio::fs::remove_dir_all(dir).await,
        tokio::fs::remove_file(dir.with_extension("tar.gz")).await,
    ] {
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::from(error).into());
            }
            _ => {}
        }
    }
    Ok(())
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
    // Where all of the collection's are: in a folder of its own choice a message would be alone.
    let Some((_, first)) = batch.open().next() else {
        return false;
    };
    let Some(folder) = batch.folder_of(first) else {
        return false;
    };
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
