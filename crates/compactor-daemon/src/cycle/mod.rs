//! One cycle, from received work to the moved pointer: receive → lease → resolve → fetch → merge → close → verify →
//! upload → swap → record → acknowledge → release.
//!
//! Each step takes what the one before returned. Up to the swap everything can be abandoned at any moment; from
//! the swap on nothing is. A process that is killed between two steps leaves a state from which the next one goes
//! on (invariant I4).

mod batch;
mod disposition;
mod ended;
mod gather;
mod lease;
mod merge;
mod publish;
mod settle;
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::{CollectionName, Lineage, Manifest};
use compactor_snapshots::{
    About as _, Ancestor, Error as SnapshotError, LostUpdates, NewVersion, Published, Step,
    SwapContext, Swapped, completed_runs,
};
use tracing::Instrument as _;

use crate::collection::Memory;
use crate::context::Context;
use crate::intake::ReceivedWork;
use crate::{Error, Result, metrics};

use ended::Outcome;
pub(crate) use ended::{Finished, KeptWork};
use lease::{Acquisition, Lease};
use settle::Settlement;
use steps::Steps;

/// Merges the work of one collection and publishes the result. Without work, flushes what waits in the log of the
/// published snapshot. `memory` is what the collection's last cycle left.
///
/// # Errors
/// Only what must end the daemon: errors whose disposition is to stop. Every other failure is recorded with its runs.
pub(crate) async fn run_cycle(
    context: &Context,
    collection: &CollectionName,
    received: Vec<ReceivedWork>,
    memory: &mut Memory,
) -> Result<Finished> {
    let span = tracing::info_span!("cycle", %collection, messages = received.len());
    lease_and_publish(context, collection, received, memory)
        .instrument(span)
        .await
}

async fn lease_and_publish(
    context: &Context,
    collection: &CollectionName,
    received: Vec<ReceivedWork>,
    memory: &mut Memory,
) -> Result<Finished> {
    let steps = Steps::new(context, collection);
    steps.done(Step::Received).await;
    let lineage = Lineage::from(collection);
    let lease = match lease::acquire(context, &lineage).await {
        Ok(Acquisition::Held(lease)) => Ok(lease),
        Ok(Acquisition::Busy(holder)) => {
            return Ok(Finished {
                outcome: Outcome::default(),
                contended: Some((received, holder)),
                postponed: Vec::new(),
                kept: None,
            });
        }
        Err(error) => Err(error),
    };
    let settlement = Settlement::new(context, collection.clone(), received);
    let mut cycle = Cycle {
        context,
        collection,
        lineage,
        steps,
        memory,
        settlement,
    };
    match lease {
        Ok(lease) => cycle.publish_and_release(lease).await?,
        Err(error) => cycle.fail_or_stop(error).await?,
    }
    Ok(cycle.settlement.finish())
}

/// A cycle under way.
struct Cycle<'c> {
    context: &'c Context,
    collection: &'c CollectionName,
    lineage: Lineage,
    steps: Steps<'c>,
    memory: &'c mut Memory,
    settlement: Settlement<'c>,
}

impl Cycle<'_> {
    async fn publish_and_release(&mut self, lease: Lease) -> Result<()> {
        let context = self.context;
        self.steps.done(Step::Leased).await;
        let ended = match self.merge_until_published(&lease).await {
            Ok(()) => Ok(()),
            Err(Error::Stopping) => {
                self.settlement.give_back(Duration::ZERO).await;
                Ok(())
            }
            // The new holder does the work; nothing is wrong with the runs.
            Err(error @ Error::LeaseLost { .. }) => {
                tracing::warn!(code = error.code(), %error, "giving the messages back");
                self.settlement
                    .give_back(context.settings.backoff.first)
                    .await;
                Ok(())
            }
            // It is not known whether the pointer moved. The messages come back when their visibility ends, and
            // the worker that gets them finds out from the manifest.
            Err(error @ Error::Snapshot(SnapshotError::SwapUnknown { .. })) => {
                self.settlement.leave(&error).await;
                Ok(())
            }
            Err(error) => self.fail_or_stop(error).await,
        };
        lease.release(context).await;
        if let Err(error) = context.ports.objects.remove_abandoned().await {
            tracing::warn!(code = error.code(), %error, "parts of an upload are left");
        }
        ended?;
        self.steps.done(Step::Released).await;
        Ok(())
    }

    /// Fails the work that is not settled, or gives it back if the error must end the daemon.
    async fn fail_or_stop(&mut self, error: Error) -> Result<()> {
        if disposition::must_stop(&error) {
            self.context.in_flight.end();
            self.settlement.give_back(Duration::ZERO).await;
            return Err(error);
        }
        if error.is_out_of_space() {
            self.memory.working_copy = None;
        }
        self.settlement.fail_unsettled(error).await;
        Ok(())
    }

    /// Starts again from the version that won while other writers move the pointer first.
    async fn merge_until_published(&mut self, lease: &Lease) -> Result<()> {
        let scratch = self.context.scratch.folder(self.collection.as_str());
        let scratch = scratch.map_err(StoreError::from)?;
        self.settlement.works_in(scratch.path());
        let rebases = self.context.settings.rebases;
        for attempt in 0..=rebases {
            if attempt == 0 {
                self.settlement.start().await;
            }
            let work = scratch.path().join(format!("snapshot-{attempt}"));
            let fetches = (attempt == 0).then(|| scratch.path());
            if self.try_once(lease, fetches, &work).await? {
                return Ok(());
            }
            tracing::info!(
                attempt,
                "another writer moved the pointer first: starting from its version"
            );
        }
        Err(SnapshotError::Overtaken {
            collection: self.collection.to_string(),
            times: rebases + 1,
        }
        .into())
    }

    /// One attempt from the pointer as it is now; `false` when another writer moved it meanwhile. The first
    /// attempt fetches the deltas into a folder, the others find them there.
    async fn try_once(
        &mut self,
        lease: &Lease,
        fetches: Option<&Path>,
        work: &Path,
    ) -> Result<bool> {
        let (context, collection) = (self.context, self.collection);
        let base = self.resolve(lease).await?;
        let figures = self.settlement.figures(base.as_ref());
        let figures = lease.abandonable(context, figures).await?;
        self.settlement.refuse_other_deltas(base.as_ref()).await;
        self.settlement
            .settle_applied(base.as_ref(), &figures)
            .await;
        if let Some(scratch) = fetches {
            let settlement = &self.settlement;
            let fetching = gather::deltas(context, &settlement.batch, settlement.room(), scratch);
            let fetched = lease.abandonable(context, fetching).await?;
            self.settlement.accept_deltas(fetched).await;
        }
        if self.settlement.batch.is_settled() {
            return Ok(true);
        }
        let fetched = self.fetch_base(lease, base.as_ref(), work).await?;
        let lineage = match &base {
            Some(base) => base.manifest().or(fetched.ancestor.manifest()),
            None => None,
        };
        if let Some(base) = &base {
            self.report_lost_updates(base, &fetched.ancestor, lineage)
                .await?;
        }
        let fetched_bytes = fetched
            .files
            .bytes()
            .saturating_add(self.settlement.batch.bytes());
        self.steps.done_with(Step::Fetched, fetched_bytes).await;
        let deltas = self.settlement.batch.deltas();
        let merging = merge::merge(
            context,
            collection,
            base.is_some(),
            deltas,
            (work, &self.steps),
        );
        let merging = lease.abandonable(context, merging);
        let (effects, closed) = self.settlement.while_merging(merging).await?;
        self.settlement.accept_effects(effects).await;
        let Some(closed) = closed else {
            if self.settlement.batch.is_empty() {
                // There was nothing to flush.
                self.settlement.outcome.flush_due = Some(false);
            }
            return Ok(true);
        };
        let flush_due = closed.flush_due;
        let batch = &self.settlement.batch;
        let (runs, digests) = (batch.applied(), batch.digests());
        let applied_runs = Manifest::extend_lineage(lineage, &runs);
        let new = NewVersion {
            lineage: &self.lineage,
            fence: lease.fence(),
            base: base.as_ref(),
            applied_deltas: &Manifest::extend_deltas(lineage, &applied_runs, digests),
            applied_runs: &applied_runs,
            runs: &runs,
        };
        let prepared =
            publish::prepare(context, (lease, &self.steps), &new, closed, &fetched.files)
                .await
                .inspect_err(|error| count_failure(metrics::SNAPSHOT_UPLOAD, error))?;
        self.steps.done_with(Step::Uploaded, prepared.bytes()).await;
        lease.renew_for_swap(context).await?;
        self.settlement.begin_to_settle();
        let expected = base.map(|base| base.etag);
        let swap_context = SwapContext {
            clock: Arc::clone(&context.ports.clock),
            budget: context.settings.lease.swap_budget(),
            settling: context.settling.clone(),
        };
        let runs = self.settlement.batch.run_ids();
        let swapped = context
            .repository
            .publish(&prepared, expected, runs, swap_context)
            .await
            .map_err(Error::from)
            .inspect_err(|error| count_failure(metrics::SNAPSHOT_UPLOAD, error))?;
        let Swapped::Published { version, fence } = swapped else {
            return Ok(false);
        };
        if version == prepared.manifest().version {
            self.settlement.outcome.published += 1;
            self.settlement.outcome.flush_due = Some(flush_due);
            match prepared.keep(&context.scratch) {
                Ok(copy) => self.memory.working_copy = Some(copy),
                Err(error) => tracing::info!(%error, "no working copy is kept"),
            }
            self.memory.checked.extend_to(&version);
        }
        self.steps.done(Step::Swapped).await;
        self.settlement.complete(&version, fence, &self.steps).await;
        Ok(true)
    }

    /// Reads what is published. A collection whose pointer was lost is refused.
    async fn resolve(&mut self, lease: &Lease) -> Result<Option<Published>> {
        let (context, collection) = (self.context, self.collection);
        let resolving = context.repository.resolve(&self.lineage);
        let base = lease.abandonable(context, resolving).await?;
        if base.is_none() {
            let asking = async {
                let listing = context.retry.call(|| context.ports.runs.list(usize::MAX));
                let records = listing.await.about(Resource::RunRecord)?;
                let completed = completed_runs(&records, collection);
                context
                    .repository
                    .refuse_lost_pointer(&completed, &self.lineage)
                    .await
            };
            lease.abandonable(context, asking).await?;
        }
        self.steps.done(Step::Resolved).await;
        Ok(base)
    }

    /// Gets the published snapshot into the folder `work`. One of another writer that lost most of our records is
    /// refused.
    async fn fetch_base(
        &mut self,
        lease: &Lease,
        base: Option<&Published>,
        work: &Path,
    ) -> Result<gather::Base> {
        let context = self.context;
        let manifest = base.and_then(Published::manifest);
        let kept = manifest.and_then(|_| self.memory.working_copy.take());
        let fetching = gather::base(context, base, kept, work);
        let fetched = lease
            .abandonable(context, fetching)
            .await
            .inspect_err(|error| count_failure(metrics::SNAPSHOT_DOWNLOAD, error))?;
        if let Some(base) = base {
            let max_shrink = context.settings.max_shrink;
            let asking = context.repository.refuse_shrunk(base, work, max_shrink);
            lease.abandonable(context, asking).await?;
        }
        Ok(fetched)
    }

    /// Looks for versions of ours that another writer overwrote.
    async fn report_lost_updates(
        &mut self,
        base: &Published,
        ancestor: &Ancestor,
        lineage: Option<&Manifest>,
    ) -> Result<()> {
        if matches!(ancestor, Ancestor::Unusable) {
            tracing::warn!(
                version = %base.version,
                "the manifest that came along cannot be used: what the version was made from is not known"
            );
            return Ok(());
        }
        let ports = &self.context.ports;
        let records = (ports.runs.as_ref(), ports.clock.as_ref());
        let checked = &mut self.memory.checked;
        let repository = &self.context.repository;
        let LostUpdates { runs } = repository
            .lost_updates(records, base, lineage, checked)
            .await?;
        if !runs.is_empty() {
            metrics::count(metrics::OVERWRITTEN);
            let runs: Vec<_> = runs.into_iter().collect();
            tracing::error!(
                code = LostUpdates::CODE,
                version = %base.version,
                runs = runs.join(", "),
                "another writer overwrote a published version: these runs are lost; `chroma-compactor runs retry RUN` merges one again"
            );
        }
        Ok(())
    }
}

/// Counts a failure that is one: work is also abandoned when nothing is wrong with it.
fn count_failure(name: &'static str, error: &Error) {
    if !matches!(error, Error::Stopping | Error::LeaseLost { .. }) {
        metrics::count(name);
    }
}
