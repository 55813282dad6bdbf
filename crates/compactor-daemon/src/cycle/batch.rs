//! The runs of a cycle, and the one place that settles them: COMPLETED and acknowledged, FAILED
//! and given back or dead-lettered, or given back untouched.

mod applied;
mod failed;
mod reason;
mod start;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use chroma_store::Effects;
use compactor_core::disposition::Resource;
use compactor_core::keys::DeltaLocation;
use compactor_core::manifest::AppliedRun;
use compactor_core::message::CompactionMessage;
use compactor_core::ports::{Completion, Delivery, ObjectStore};
use compactor_core::{CollectionName, Fence, RunId, RunKey, Version};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::fetch::{Fetched, OnDisk};
use super::flush::DeltaDone;
use super::room::RoomBefore;
use super::verdict::{self, Failed, Verdict};
use super::{Context, Finished, Kept, Outcome, Step, fetch};
use crate::delta::normal;
use crate::error::About as _;
use crate::inbox::ReceivedRun;
use crate::patience::persist;
use crate::together::together;
use crate::{RunError, alarms};

/// One run, with every delivery of its message that is in the batch.
struct Entry {
    message: CompactionMessage,
    /// The first entry with the same delta, which may be this one.
    first: usize,
    deliveries: Vec<Delivery>,
    delta: Option<OnDisk>,
    effects: Option<Effects>,
    settled: bool,
}

impl Entry {
    /// How often its message was received; the most of them, if there are several.
    fn receives(&self) -> u32 {
        let deliveries = self.deliveries.iter();
        let receives = deliveries.map(|delivery| delivery.receive_count).max();
        receives.unwrap_or(1)
    }
}

pub(super) struct Batch<'c> {
    context: &'c Context,
    collection: CollectionName,
    entries: Vec<Entry>,
    outcome: Outcome,
    /// Runs for which there was no room beside the others.
    postponed: Vec<ReceivedRun>,
    /// Runs that stay in our hands, and why.
    kept: Vec<ReceivedRun>,
    trouble: Option<RunError>,
    /// The merge of its deltas is under way: one of them may be why a task panics.
    is_merging: bool,
    /// Held from the swap on.
    settling: Option<TaskTrackerToken>,
    /// The cycle's folder on disk, once it has one.
    scratch: Option<PathBuf>,
    /// The room that it had there.
    room: RoomBefore,
}

impl<'c> Batch<'c> {
    /// Deliveries of the same run become one entry: the queue delivers at least once.
    pub(super) fn new(
        context: &'c Context,
        collection: CollectionName,
        runs: Vec<ReceivedRun>,
    ) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut firsts: HashMap<DeltaLocation, usize> = HashMap::new();
        let mut known: HashMap<(RunKey, usize), usize> = HashMap::new();
        for run in runs {
            let ReceivedRun {
                mut message,
                delivery,
                ..
            } = run;
            message.location = normal(context.ports.objects.as_ref(), message.location);
            let place = entries.len();
            let first = *firsts.entry(message.location.clone()).or_insert(place);
            let at = *known.entry((message.key.clone(), first)).or_insert(place);
            match entries.get_mut(at) {
                Some(entry) => entry.deliveries.push(delivery),
                None => entries.push(Entry {
                    message,
                    first,
                    deliveries: vec![delivery],
                    delta: None,
                    effects: None,
                    settled: false,
                }),
            }
        }
        Self {
            context,
            collection,
            entries,
            outcome: Outcome::default(),
            postponed: Vec::new(),
            kept: Vec::new(),
            trouble: None,
            is_merging: false,
            settling: None,
            scratch: None,
            room: RoomBefore::default(),
        }
    }

    /// From now on to its end nothing of it must be cancelled.
    pub(super) fn begin_to_settle(&mut self) {
        self.settling = Some(self.context.settling.token());
    }

    /// The merge of its deltas begins, or has ended.
    pub(super) fn set_merging(&mut self, is_merging: bool) {
        self.is_merging = is_merging;
    }

    pub(super) fn objects(&self) -> &dyn ObjectStore {
        self.context.ports.objects.as_ref()
    }

    pub(super) fn collection(&self) -> &CollectionName {
        &self.collection
    }

    /// What became of it, when everything is settled.
    pub(super) fn finish(self) -> Finished {
        let runs = self.kept;
        // Those that were kept may have been given back since.
        let trouble = self.trouble.filter(|_| !runs.is_empty());
        Finished {
            outcome: self.outcome,
            busy: Vec::new(),
            holder: None,
            postponed: self.postponed,
            kept: trouble.map(|trouble| Kept { runs, trouble }),
        }
    }

    /// Whether there is nothing left to do for any run. Without runs there is: to flush.
    pub(super) fn is_settled(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().all(|entry| entry.settled)
    }

    /// Runs that still need their delta, with their place in the batch.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &CompactionMessage)> {
        let open = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.settled);
        open.map(|(at, entry)| (at, &entry.message))
    }

    /// The deltas of all open runs, each once, with the first open place that names it.
    pub(super) fn places(&self) -> Vec<(usize, &DeltaLocation)> {
        let mut seen = HashSet::new();
        let places = self.open();
        places
            .filter(|(at, _)| seen.insert(self.entries[*at].first))
            .map(|(at, message)| (at, &message.location))
            .collect()
    }

    /// The open runs that have the delta of the run `at`.
    fn members(&self, at: usize) -> Vec<usize> {
        let first = self.entries[at].first;
        let same = self
            .open()
            .filter(|(at, _)| self.entries[*at].first == first);
        same.map(|(at, _)| at).collect()
    }

    /// The fetched deltas, with the first place in the batch that names each.
    pub(super) fn deltas(&self) -> Vec<(usize, PathBuf)> {
        let places = self.places().into_iter();
        places
            .filter_map(|(at, _)| Some((at, self.entries[at].delta.as_ref()?.dir.clone())))
            .collect()
    }

    /// Below which of the prefixes that are let in the delta of a message is.
    pub(super) fn folder_of(&self, message: &CompactionMessage) -> Option<String> {
        let admission = &self.context.settings.admission;
        admission.folder_of(&self.collection, &message.location)
    }

    pub(super) fn room(&self) -> RoomBefore {
        self.room
    }

    pub(super) fn run_ids(&self) -> Vec<RunId> {
        self.open()
            .map(|(_, message)| message.key.run_id.clone())
            .collect()
    }

    /// What each open run did to the records, for the manifest.
    pub(super) fn applied(&self) -> Vec<AppliedRun> {
        let open = self.entries.iter().filter(|entry| !entry.settled);
        open.filter_map(|entry| {
            let effects = entry.effects?;
            Some(AppliedRun {
                run_id: entry.message.key.run_id.clone(),
                added: effects.added,
                updated: effects.updated,
                deleted: effects.deleted,
                merged: effects.merged,
                ignored: effects.ignored,
            })
        })
        .collect()
    }

    pub(super) async fn accept_deltas(&mut self, fetched: Fetched) {
        let outcomes = fetched.outcomes;
        let is_of_delta = |(_, outcome): &(usize, Result<OnDisk, RunError>)| {
            matches!(
                outcome,
                Err(RunError::Port {
                    resource: Resource::Delta,
                    ..
                })
            )
        };
        let has_read = outcomes.iter().any(|(_, outcome)| outcome.is_ok());
        let may_be_all = !has_read && outcomes.iter().any(is_of_delta);
        let none = may_be_all && !fetch::can_read_another(self).await;
        for at in fetched.postponed {
            self.postpone(at);
        }
        for (at, outcome) in outcomes {
            match outcome {
                Ok(delta) => {
                    for at in self.members(at) {
                        self.entries[at].delta = Some(delta.clone());
                    }
                }
                Err(RunError::Port {
                    resource: Resource::Delta,
                    error,
                }) if none => {
                    let resource = Resource::Deltas;
                    let error = RunError::Port { resource, error };
                    self.fail_for_its_delta(at, error).await;
                }
                Err(error) => self.fail_for_its_delta(at, error).await,
            }
        }
    }

    /// A delta is merged once, and did the same for all its runs.
    pub(super) async fn accept_effects(
        &mut self,
        merged: Vec<(usize, Result<DeltaDone, RunError>)>,
    ) {
        let is_none_merged = merged.iter().all(|(_, outcome)| outcome.is_err());
        for (at, outcome) in merged {
            match outcome {
                Ok((effects, other_space)) => {
                    if let Some(space) = other_space {
                        let run = &self.entries[at].message.key.run_id;
                        tracing::info!(%run, %space, "the delta's space is not the snapshot's, in which its vectors are indexed");
                    }
                    for at in self.members(at) {
                        self.entries[at].effects = Some(effects);
                    }
                }
                // The trial of a first delta filled the disk, and no other delta was merged.
                Err(error) if is_none_merged && error.is_out_of_space() => {
                    return self.fail_open(error).await;
                }
                Err(error) => {
                    self.outcome.one_by_one |= error.is_out_of_space();
                    self.fail_for_its_delta(at, error).await;
                }
            }
        }
    }

    /// Records and acknowledges every open run: the pointer names a version that contains them.
    pub(super) async fn complete(
        &mut self,
        version: &Version,
        fence: Fence,
    ) -> Result<(), RunError> {
        let open: Vec<usize> = self.open().map(|(at, _)| at).collect();
        let batch = &*self;
        let calls = open.iter().map(|&at| async move {
            let effects = batch.entries[at].effects.unwrap_or_default();
            let run = &batch.entries[at].message.key.run_id;
            if effects.changed_nothing() {
                tracing::warn!(
                    %run,
                    ignored = effects.ignored,
                    "the run changed nothing: all its operations update or delete records that the snapshot does not have"
                );
            }
            let completion = Completion {
                merged_vectors: effects.merged,
                ignored_operations: effects.ignored,
                version: version.clone(),
                fence,
                at: batch.context.ports.clock.wall(),
            };
            batch.record(at, &completion).await
        });
        let outcomes = together(calls.collect()).await;
        let mut recorded = Vec::new();
        for (&at, outcome) in open.iter().zip(outcomes) {
            match outcome {
                Ok(()) => recorded.push(at),
                Err(error) => self.keep_unrecorded(at, error).await,
            }
        }
        self.context
            .hooks
            .reached(Step::Recorded, &self.collection)?;
        self.acknowledge(&recorded).await;
        self.context
            .hooks
            .reached(Step::Acknowledged, &self.collection)
    }

    /// Not recorded means not acknowledged: the next cycle finds that the run is published.
    async fn keep_unrecorded(&mut self, at: usize, error: RunError) {
        tracing::warn!(code = error.code(), %error, "cannot record a completed run; it comes back");
        let max_receives = self.context.ports.queue.max_receives();
        let receives = self.entries[at].receives();
        match verdict::decide(Failed::Cycle, &error, receives, max_receives) {
            Verdict::GiveBack => self.forget(at).await,
            Verdict::Keep | Verdict::DeadLetter => {
                self.keep(at);
                self.entries[at].settled = true;
                self.trouble.get_or_insert(error);
            }
        }
    }

    /// Counts a version of ours that the pointer names.
    pub(super) fn count_published(&mut self, flush_due: bool) {
        self.outcome.published += 1;
        self.outcome.flush_due = Some(flush_due);
    }

    /// There was nothing to flush.
    pub(super) fn is_flushed(&mut self) {
        self.outcome.flush_due = Some(false);
    }

    /// Whether it has no runs: it only flushes.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    async fn complete_one(&mut self, at: usize, completion: &Completion) {
        match self.record(at, completion).await {
            Ok(()) => self.acknowledge(&[at]).await,
            Err(error) => self.keep_unrecorded(at, error).await,
        }
    }

    async fn record(&self, at: usize, completion: &Completion) -> Result<(), RunError> {
        let (ports, settings) = (&self.context.ports, &self.context.settings);
        let run = &self.entries[at].message.key;
        persist(ports, settings, || {
            ports.runs.complete(run, &self.collection, completion)
        })
        .await
        .inspect_err(|_| alarms::count(alarms::RUN_STATE))
        .about(Resource::RunRecord)?;
        alarms::count(alarms::DELTAS_MERGED);
        tracing::info!(
            run = %run.run_id,
            version = %completion.version,
            merged = completion.merged_vectors,
            ignored = completion.ignored_operations,
            "run completed"
        );
        Ok(())
    }

    /// Deletes the messages of those that are not settled otherwise.
    async fn acknowledge(&mut self, which: &[usize]) {
        let (ports, settings) = (&self.context.ports, &self.context.settings);
        let which: Vec<usize> = which
            .iter()
            .copied()
            .filter(|at| !self.entries[*at].settled)
            .collect();
        let deliveries = which.iter().flat_map(|&at| &self.entries[at].deliveries);
        let calls = deliveries.map(|delivery| async {
            let receipt = &delivery.receipt;
            let answer = persist(ports, settings, || ports.queue.delete(receipt)).await;
            self.context.held.was_deleted(receipt, answer);
        });
        together(calls.collect()).await;
        for at in which {
            self.outcome.completed += 1;
            self.entries[at].settled = true;
        }
    }
}
