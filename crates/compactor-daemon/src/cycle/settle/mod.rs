//! Settling a batch: each item becomes COMPLETED and acknowledged, FAILED and given back or dead-lettered, or
//! is given back untouched. The decisions are `disposition`'s, the writing is [`Settler`]'s.

mod applied;
mod failed;
mod reason;
mod start;

use std::path::{Path, PathBuf};

use chroma_store::{Effects, Space};
use compactor_core::disposition::Resource;
use compactor_core::ports::{Completion, Delivery};
use compactor_core::{CollectionName, Fence, Version};
use compactor_snapshots::{Error as SnapshotError, Step};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::batch::{Batch, OnDisk, Stage};
use super::disposition::{self, Failed, Fate};
use super::ended::{Finished, KeptWork, Outcome};
use super::gather::{self, Fetched, RoomBefore};
use super::steps::Steps;
use crate::context::Context;
use crate::intake::ReceivedWork;
use crate::ports::side_by_side;
use crate::settler::Settler;
use crate::{Error, Result};

/// What a merged delta did, and its space if that is not the snapshot's.
pub(super) type SourceDone = (Effects, Option<Space>);

/// The batch of one cycle, and what became of it so far.
pub(super) struct Settlement<'c> {
    context: &'c Context,
    settler: Settler<'c>,
    collection: CollectionName,
    pub(super) batch: Batch,
    pub(super) outcome: Outcome,
    /// Work for which there was no room beside the rest.
    postponed: Vec<ReceivedWork>,
    /// Work that stays in flight, and why.
    kept: Vec<ReceivedWork>,
    trouble: Option<Error>,
    /// The deltas are being merged: one of them may be why a task panics.
    merges: bool,
    /// Held from the swap on.
    settling: Option<TaskTrackerToken>,
    /// The cycle's folder on disk, once it has one.
    scratch: Option<PathBuf>,
    /// The room that was there before.
    room: RoomBefore,
}

impl<'c> Settlement<'c> {
    pub(super) fn new(
        context: &'c Context,
        collection: CollectionName,
        received: Vec<ReceivedWork>,
    ) -> Self {
        let objects = context.ports.objects.as_ref();
        Self {
            context,
            settler: Settler::new(context),
            collection,
            batch: Batch::new(received, |bucket| objects.is_bucket(bucket)),
            outcome: Outcome::default(),
            postponed: Vec::new(),
            kept: Vec::new(),
            trouble: None,
            merges: false,
            settling: None,
            scratch: None,
            room: RoomBefore::default(),
        }
    }

    /// The cycle works in the folder `scratch` from now on.
    pub(super) fn works_in(&mut self, scratch: &Path) {
        self.scratch = Some(scratch.to_path_buf());
        self.room = RoomBefore::of(scratch);
    }

    pub(super) fn room(&self) -> RoomBefore {
        self.room
    }

    /// From now until the settlement is dropped, a process that ends at once waits for it.
    pub(super) fn begin_to_settle(&mut self) {
        self.settling = Some(self.context.settling.token());
    }

    /// Waits for the merge of the batch's deltas. If it panics, one of them may be the reason.
    pub(super) async fn while_merging<T>(
        &mut self,
        merge: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.merges = true;
        let merged = merge.await?;
        self.merges = false;
        Ok(merged)
    }

    /// What became of the batch, when everything is settled.
    pub(super) fn finish(self) -> Finished {
        let work = self.kept;
        // What was kept may have been given back since.
        let trouble = self.trouble.filter(|_| !work.is_empty());
        Finished {
            outcome: self.outcome,
            contended: None,
            postponed: self.postponed,
            kept: trouble.map(|trouble| KeptWork { work, trouble }),
        }
    }

    pub(super) async fn accept_deltas(&mut self, fetched: Fetched) {
        let outcomes = fetched.outcomes;
        let is_of_delta = |outcome: &Result<OnDisk>| {
            let port = outcome.as_ref().err().and_then(Error::port);
            port.is_some_and(|(resource, _)| resource == Resource::Delta)
        };
        let has_read = outcomes.iter().any(|(_, outcome)| outcome.is_ok());
        let may_be_all = !has_read && outcomes.iter().any(|(_, outcome)| is_of_delta(outcome));
        let is_all = may_be_all && !self.can_read_another().await;
        for at in fetched.postponed {
            self.postpone(at);
        }
        for (at, outcome) in outcomes {
            match outcome {
                Ok(delta) => {
                    for at in self.batch.members(at) {
                        self.batch.items[at].stage = Stage::Fetched(delta.clone());
                    }
                }
                Err(Error::Snapshot(SnapshotError::Port {
                    resource: Resource::Delta,
                    error,
                })) if is_all => {
                    let resource = Resource::Deltas;
                    let error = SnapshotError::Port { resource, error }.into();
                    self.fail_for_its_delta(at, error).await;
                }
                Err(error) => self.fail_for_its_delta(at, error).await,
            }
        }
    }

    async fn can_read_another(&self) -> bool {
        let own: Vec<_> = self
            .batch
            .open()
            .map(|(_, item)| item.work.source.location())
            .collect();
        let admission = &self.context.settings.admission;
        let folder = own
            .first()
            .and_then(|first| admission.folder_of(&self.collection, first));
        gather::can_read_another(self.context.ports.objects.as_ref(), folder, &own).await
    }

    /// A delta is merged once, and did the same for all its runs.
    pub(super) async fn accept_effects(&mut self, merged: Vec<(usize, Result<SourceDone>)>) {
        let is_none_merged = merged.iter().all(|(_, outcome)| outcome.is_err());
        for (at, outcome) in merged {
            match outcome {
                Ok((effects, other_space)) => {
                    if let Some(space) = other_space {
                        let run = self.batch.items[at].run_id();
                        tracing::info!(%run, %space, "the delta's space is not the snapshot's, in which its vectors are indexed");
                    }
                    for at in self.batch.members(at) {
                        let item = &mut self.batch.items[at];
                        if let Some(delta) = item.on_disk() {
                            item.stage = Stage::Merged(delta.clone(), effects);
                        }
                    }
                }
                // The trial of a first delta filled the disk, and no other delta was merged.
                Err(error) if is_none_merged && error.is_out_of_space() => {
                    return self.fail_unsettled(error).await;
                }
                Err(error) => {
                    self.outcome.one_by_one |= error.is_out_of_space();
                    self.fail_for_its_delta(at, error).await;
                }
            }
        }
    }

    /// Records and acknowledges every open item: the pointer names a version that contains them.
    pub(super) async fn complete(&mut self, version: &Version, fence: Fence, steps: &Steps<'_>) {
        let open = self.batch.open_places();
        let this = &*self;
        let calls = open.iter().map(|&at| async move {
            let item = &this.batch.items[at];
            let effects = item.effects().unwrap_or_default();
            if effects.changed_nothing() {
                tracing::warn!(
                    run = %item.run_id(),
                    ignored = effects.ignored,
                    "the run changed nothing: all its operations update or delete records that the snapshot does not have"
                );
            }
            let completion = Completion {
                merged_vectors: effects.merged,
                ignored_operations: effects.ignored,
                version: version.clone(),
                fence,
                at: this.context.ports.clock.wall(),
            };
            this.settler.complete(&item.work, &completion).await
        });
        let outcomes = side_by_side(calls).await;
        let mut recorded = Vec::new();
        for (&at, outcome) in open.iter().zip(outcomes) {
            match outcome {
                Ok(()) => recorded.push(at),
                Err(error) => self.keep_unrecorded(at, error).await,
            }
        }
        steps.done(Step::Recorded).await;
        self.acknowledge(&recorded).await;
        steps.done(Step::Acknowledged).await;
    }

    /// Not recorded means not acknowledged: the next cycle finds that the run is published.
    async fn keep_unrecorded(&mut self, at: usize, error: Error) {
        tracing::warn!(code = error.code(), %error, "cannot record a completed run; it comes back");
        let max_receives = self.context.ports.queue.max_receives();
        let receives = self.batch.items[at].receives();
        match disposition::decide(Failed::Cycle, &error, receives, max_receives) {
            Fate::GiveBack => self.leave_one(at).await,
            Fate::Keep | Fate::DeadLetter => {
                self.keep(at);
                self.trouble.get_or_insert(error);
            }
        }
    }

    async fn complete_one(&mut self, at: usize, completion: &Completion) {
        let recorded = self
            .settler
            .complete(&self.batch.items[at].work, completion);
        match recorded.await {
            Ok(()) => self.acknowledge(&[at]).await,
            Err(error) => self.keep_unrecorded(at, error).await,
        }
    }

    /// Deletes the messages of those items that are not settled otherwise.
    async fn acknowledge(&mut self, which: &[usize]) {
        let items = &self.batch.items;
        let open = which.iter().copied().filter(|at| items[*at].is_open());
        let open: Vec<usize> = open.collect();
        let deliveries = open.iter().flat_map(|&at| &items[at].deliveries);
        self.settler.acknowledge(deliveries).await;
        for at in open {
            self.outcome.completed += 1;
            self.batch.items[at].stage = Stage::Settled;
        }
    }

    fn deliveries(&self, at: usize) -> &[Delivery] {
        &self.batch.items[at].deliveries
    }
}
