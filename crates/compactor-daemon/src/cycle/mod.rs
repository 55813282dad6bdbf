//! The way of one batch: receive → lease → resolve → fetch → merge → close → verify → upload →
//! swap → record → acknowledge → release.
//!
//! Each step takes what the one before returned. Up to the swap everything can be abandoned at any
//! moment; from the swap on nothing is. A process killed between two steps leaves a state from
//! which the next one continues (invariant I4).

mod batch;
mod fetch;
mod flush;
mod lease;
mod overwritten;
mod room;
mod shrunk;
mod step;
mod swap;
mod upload;
mod verdict;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chroma_store::StoreError;
use compactor_core::disposition::Disposition;
use compactor_core::ports::LockHolder;
use compactor_core::{CollectionName, Manifest};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::held::HeldMessages;
use crate::inbox::ReceivedRun;
use crate::kept::KeptCopies;
use crate::snapshot::{Ancestor, KnownFiles};
use crate::{Ports, RunError, Scratch, Settings, alarms, snapshot};

use batch::Batch;
use flush::Merged;
use lease::{Acquisition, Lease};
pub(crate) use overwritten::CheckedVersions;
use swap::Swapped;
use upload::{Origin, Upload, Uploaded};
use verdict::Failed;

pub use step::{NoHooks, Step, StepHooks};

/// What a cycle works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) ports: Ports,
    pub(crate) settings: Arc<Settings>,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) held: HeldMessages,
    pub(crate) kept: Arc<KeptCopies>,
    pub(crate) checked: Arc<CheckedVersions>,
    pub(crate) hooks: Arc<dyn StepHooks>,
    /// Cancelled when the daemon stops.
    pub(crate) stop: CancellationToken,
    /// What must not be cancelled: from the swap until its runs are recorded and acknowledged.
    pub(crate) settling: TaskTracker,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Runs that are in the published lineage now.
    pub(crate) completed: u64,
    /// Attempts that failed; the message comes back or is in the dead-letter queue.
    pub(crate) failed: u64,
    /// Versions published.
    pub(crate) published: u64,
    /// It panicked, or ran out of space, with several deltas: which of them is at fault shows when they
    /// are merged one by one.
    pub(crate) one_by_one: bool,
    /// Whether what is published waits to be flushed; `None` if that was not found out.
    pub(crate) flush_due: Option<bool>,
}

/// What is left of a cycle.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    /// The runs, untouched, when another worker holds the collection.
    pub(crate) busy: Vec<ReceivedRun>,
    /// And which one.
    pub(crate) holder: Option<LockHolder>,
    /// Runs for which there was no room beside the others.
    pub(crate) postponed: Vec<ReceivedRun>,
    /// Runs that failed for something that is not their fault, and stay in our hands.
    pub(crate) kept: Option<Kept>,
}

/// Runs that wait for the end of some trouble.
pub(crate) struct Kept {
    pub(crate) runs: Vec<ReceivedRun>,
    pub(crate) trouble: RunError,
}

impl Kept {
    /// Whether others of the same collection may be merged meanwhile.
    pub(crate) fn is_out_of_space(&self) -> bool {
        self.trouble.is_out_of_space()
    }

    /// Whether someone has to do something before it can be over.
    pub(crate) fn waits_for_someone(&self) -> bool {
        verdict::disposition(Failed::Cycle, &self.trouble) == Disposition::Pause
    }
}

/// Merges the runs of one collection and publishes them. Without runs, flushes what waits in the log
/// of the published snapshot.
///
/// # Errors
/// Only what must end the daemon: errors of [`Disposition::Stop`], and [`RunError::Killed`] from
/// hooks. Every other failure is recorded with its runs.
pub(crate) async fn run(
    context: Context,
    collection: CollectionName,
    runs: Vec<ReceivedRun>,
) -> Result<Finished, RunError> {
    let span = tracing::info_span!("cycle", %collection, messages = runs.len());
    take(&context, &collection, runs).instrument(span).await
}

async fn take(
    context: &Context,
    collection: &CollectionName,
    runs: Vec<ReceivedRun>,
) -> Result<Finished, RunError> {
    context.hooks.reached(Step::Received, collection)?;
    let lease = match lease::acquire(context, collection).await {
        Ok(Acquisition::Held(lease)) => Ok(lease),
        Ok(Acquisition::Busy(holder)) => {
            return Ok(Finished {
                outcome: Outcome::default(),
                busy: runs,
                holder: Some(holder),
                postponed: Vec::new(),
                kept: None,
            });
        }
        Err(error) => Err(error),
    };
    let mut batch = Batch::new(context, collection.clone(), runs);
    match lease {
        Ok(lease) => publish(context, &mut batch, lease).await?,
        Err(error) if verdict::must_stop(&error) => {
            context.held.end();
            batch.give_back(Duration::ZERO).await;
            return Err(error);
        }
        Err(error) => batch.fail_open(error).await,
    }
    Ok(batch.finish())
}

async fn publish(context: &Context, batch: &mut Batch<'_>, lease: Lease) -> Result<(), RunError> {
    let collection = batch.collection().clone();
    context.hooks.reached(Step::Leased, &collection)?;
    match merge_until_published(context, batch, &lease).await {
        Ok(()) => {}
        Err(error @ RunError::Killed { .. }) => return Err(error),
        Err(RunError::Stopping) => batch.give_back(Duration::ZERO).await,
        // The new holder does the work; nothing is wrong with the runs.
        Err(error @ RunError::LeaseLost { .. }) => {
            tracing::warn!(code = error.code(), %error, "giving the messages back");
            batch.give_back(context.settings.backoff.first).await;
        }
        Err(error) if verdict::must_stop(&error) => {
            context.held.end();
            batch.give_back(Duration::ZERO).await;
            lease.release(context).await;
            remove_abandoned(context).await;
            return Err(error);
        }
        // Whether the pointer moved is not known: the messages come back when their time is over,
        // and whoever gets them finds out from the manifest.
        Err(error @ RunError::SwapUnknown { .. }) => batch.leave(&error).await,
        Err(error) => batch.fail_open(error).await,
    }
    lease.release(context).await;
    remove_abandoned(context).await;
    context.hooks.reached(Step::Released, &collection)
}

async fn remove_abandoned(context: &Context) {
    if let Err(error) = context.ports.objects.remove_abandoned().await {
        tracing::warn!(code = error.code(), %error, "parts of an upload are left");
    }
}

async fn merge_until_published(
    context: &Context,
    batch: &mut Batch<'_>,
    lease: &Lease,
) -> Result<(), RunError> {
    let scratch = context
        .scratch
        .folder(batch.collection().as_str())
        .map_err(StoreError::from)?;
    batch.works_in(scratch.path());
    for attempt in 0..=context.settings.rebases {
        if attempt == 0 {
            batch.start().await;
        }
        let (work, first) = (
            scratch.path().join(format!("snapshot-{attempt}")),
            attempt == 0,
        );
        if try_once(context, batch, lease, scratch.path(), &work, first).await? {
            return Ok(());
        }
        tracing::info!(
            attempt,
            "another writer moved the pointer first: starting from its version"
        );
    }
    Err(RunError::Overtaken {
        collection: batch.collection().to_string(),
        times: context.settings.rebases + 1,
    })
}

/// One attempt from the pointer as it is now; `false` when somebody else moved it meanwhile.
async fn try_once(
    context: &Context,
    batch: &mut Batch<'_>,
    lease: &Lease,
    scratch: &Path,
    work: &Path,
    first: bool,
) -> Result<bool, RunError> {
    let collection = batch.collection().clone();
    let objects = context.ports.objects.as_ref();
    let base = lease
        .abandonable(context, snapshot::resolve(objects, &collection))
        .await?;
    if base.is_none() {
        let (ports, settings) = (&context.ports, &context.settings);
        let asked = snapshot::refuse_lost_pointer(ports, settings, &collection);
        lease.abandonable(context, asked).await?;
    }
    context.hooks.reached(Step::Resolved, &collection)?;
    let figures = lease
        .abandonable(context, batch.figures(base.as_ref()))
        .await?;
    batch.refuse_other_deltas(base.as_ref()).await;
    batch.settle_applied(base.as_ref(), &figures).await;
    if first {
        let fetched = lease
            .abandonable(context, fetch::deltas(context, batch, scratch))
            .await?;
        batch.accept_deltas(fetched).await;
    }
    if batch.is_settled() {
        return Ok(true);
    }
    let fetched = lease
        .abandonable(context, fetch::base(context, base.as_ref(), work))
        .await
        .inspect_err(|error| count_failure(alarms::SNAPSHOT_DOWNLOAD, error))?;
    if let Some(base) = &base {
        let asked = shrunk::refuse(context, base, work);
        lease.abandonable(context, asked).await?;
    }
    let lineage = match &base {
        Some(base) => base.manifest().or(fetched.ancestor.manifest()),
        None => None,
    };
    if let Some(base) = &base {
        if matches!(fetched.ancestor, Ancestor::Unusable) {
            tracing::warn!(
                version = %base.version,
                "the manifest that came along cannot be used: nobody knows what it was made from"
            );
        } else {
            overwritten::report(context, base, lineage).await?;
        }
    }
    context.hooks.reached(Step::Fetched, &collection)?;
    let merging = flush::merge(context, &collection, base.is_some(), batch.deltas(), work);
    batch.set_merging(true);
    let (effects, merged) = lease.abandonable(context, merging).await?;
    batch.set_merging(false);
    batch.accept_effects(effects).await;
    let Some(merged) = merged else {
        if batch.is_empty() {
            batch.is_flushed();
        }
        return Ok(true);
    };
    let flush_due = merged.flush_due;
    let applied_runs = Manifest::extend_lineage(lineage, &batch.applied());
    let origin = Origin {
        collection: &collection,
        fence: lease.fence(),
        base: base.as_ref(),
        applied_deltas: Manifest::extend_deltas(lineage, &applied_runs, batch.digests()),
        applied_runs,
        runs: batch.applied(),
    };
    let uploaded = upload(context, lease, &origin, merged, &fetched.files)
        .await
        .inspect_err(|error| count_failure(alarms::SNAPSHOT_UPLOAD, error))?;
    context.hooks.reached(Step::Uploaded, &collection)?;
    lease.renew_for_swap(context).await?;
    batch.begin_to_settle();
    let base = base.map(|base| base.etag);
    match swap::swap(context, &uploaded, base, batch.run_ids())
        .await
        .inspect_err(|error| count_failure(alarms::SNAPSHOT_UPLOAD, error))?
    {
        Swapped::Published { version, fence } => {
            if version == uploaded.manifest().version {
                batch.count_published(flush_due);
                uploaded.keep(context);
                context.checked.insert(&collection, &version);
            }
            context.hooks.reached(Step::Swapped, &collection)?;
            batch.complete(&version, fence).await?;
            Ok(true)
        }
        Swapped::Lost => Ok(false),
    }
}

/// Index files and full text, each once.
const REBUILDS: u32 = 2;

fn is_mendable(damage: &StoreError) -> bool {
    damage.is_index_damage() || damage.is_full_text_damage()
}

/// Uploads and verifies side by side; what is damaged and can be built anew is.
async fn upload(
    context: &Context,
    lease: &Lease,
    origin: &Origin<'_>,
    mut merged: Merged,
    before: &KnownFiles,
) -> Result<Uploaded, RunError> {
    let mut rebuilt = 0;
    loop {
        let upload = Upload::prepare(context, origin, Arc::clone(&merged.store), before.clone())?;
        // To the end of both: whoever still reads a file would be found by the proof of a rebuild.
        let both = async {
            Ok(tokio::join!(
                flush::verify(context, origin.collection, &merged),
                upload.send_files(context)
            ))
        };
        let (checked, sent) = lease.abandonable(context, both).await?;
        match checked {
            Ok(checked) => {
                let completing = upload.complete(context, sent?, &checked);
                return lease.abandonable(context, completing).await;
            }
            Err(RunError::Store(damage)) if rebuilt < REBUILDS && is_mendable(&damage) => {
                tracing::warn!(code = damage.code(), error = %damage, "index files or full text are built anew");
                let rebuilding = flush::rebuild(context, origin.collection, merged, &damage);
                merged = lease.abandonable(context, rebuilding).await?;
                rebuilt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Counts a failure that is one: work is also abandoned when nothing is wrong with it.
fn count_failure(name: &'static str, error: &RunError) {
    if !matches!(error, RunError::Stopping | RunError::LeaseLost { .. }) {
        alarms::count(name);
    }
}
