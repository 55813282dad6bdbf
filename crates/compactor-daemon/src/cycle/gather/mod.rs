//! Fetching what a cycle works on: the deltas of its runs, and the published snapshot.

mod base;
mod delta;
mod room;

use std::any::Any;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chroma_store::StoreError;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::task::JoinSet;

use compactor_core::keys::DeltaLocation;
use compactor_core::ports::ObjectStore;
use compactor_snapshots::{Error as SnapshotError, Limits};

use super::batch::{Batch, OnDisk};
use crate::Result;
use crate::context::Context;

use room::bytes_below;

pub(super) use base::{Base, base};
pub(super) use room::RoomBefore;

/// Where the delta of the run `at` of a batch goes.
pub(super) fn delta_dir(scratch: &Path, at: usize) -> PathBuf {
    // No other path begins with it.
    scratch.join(format!("delta-{at}.d"))
}

/// What became of the deltas, by the first place in the batch that names each.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) outcomes: Vec<(usize, Result<OnDisk>)>,
    /// There was no room for them beside the others: they are for another cycle.
    pub(super) postponed: Vec<usize>,
}

/// Fetches the deltas of all open runs, each once, as many as `limits.batch` and the disk have room for.
pub(super) async fn deltas(
    context: &Context,
    batch: &Batch,
    room: RoomBefore,
    scratch: &Path,
) -> Result<Fetched> {
    let limits = &context.settings.limits;
    let objects = &context.ports.objects;
    let places = batch.locations().into_iter();
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
        room,
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
    running: JoinSet<(usize, Arc<delta::Found>, Result<u64>)>,
    /// Bytes of `limits.batch` that are not spoken for.
    left: u64,
    /// The disk was full: the next one begins when no other is under way.
    one_by_one: bool,
    fetched: Fetched,
}

impl Transfers {
    async fn run(mut self) -> Result<Fetched> {
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
                    let panicked =
                        |panic: Box<dyn Any + Send>| Err(SnapshotError::panicked(&*panic).into());
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
        outcome: Result<u64>,
    ) -> Result<()> {
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

async fn remove(dir: &Path) -> Result<()> {
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

/// Most objects of other runs that are tried.
const OTHERS: usize = 3;

/// Whether the delta of a run that is not in the batch can be read: then those that cannot are faults of
/// their producers. `folder` is where all deltas of the collection are: a message could name a folder of its
/// own, where it would be alone.
pub(super) async fn can_read_another(
    objects: &dyn ObjectStore,
    folder: Option<String>,
    own: &[&DeltaLocation],
) -> bool {
    let Some(folder) = folder else {
        return false;
    };
    let Ok(page) = objects.list(&folder, None).await else {
        return false;
    };
    let is_other = |key: &str| !own.iter().any(|own| key.starts_with(&own.prefix));
    let others = page.entries.iter().filter(|info| is_other(&info.key));
    for info in others.take(OTHERS) {
        if let Ok(Some(_)) = objects.head(&info.key).await {
            return true;
        }
    }
    false
}
