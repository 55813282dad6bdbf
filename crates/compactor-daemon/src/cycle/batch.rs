//! The work of one cycle, as data. Each item is received, then fetched, merged and settled. `settle` settles;
//! nothing here makes a call.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use chroma_store::Effects;
use compactor_core::keys::DeltaLocation;
use compactor_core::manifest::AppliedRun;
use compactor_core::ports::Delivery;
use compactor_core::{DeltaDigest, RunId, Source, Work, WorkId};

use crate::intake::ReceivedWork;

/// A delta on this machine.
#[derive(Debug, Clone)]
pub(super) struct OnDisk {
    pub(super) dir: PathBuf,
    pub(super) bytes: u64,
}

/// How far an item is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Its messages are here.
    Received,
    /// So is its delta.
    Fetched(OnDisk),
    /// The delta is merged into the working copy.
    Merged(OnDisk, Effects),
    /// Its messages are acknowledged, given back, kept, left or dead-lettered.
    Settled,
}

/// One piece of work, with every delivery of its message that is in the batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) work: Work,
    /// The place of the first item with the same delta, which may be this one.
    first: usize,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) stage: Stage,
}

impl Item {
    /// How often its message was received; of several messages, the largest number.
    pub(super) fn receives(&self) -> u32 {
        let deliveries = self.deliveries.iter();
        let receives = deliveries.map(|delivery| delivery.receive_count).max();
        receives.unwrap_or(1)
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Settled)
    }

    /// Its delta, once it is here.
    pub(super) fn on_disk(&self) -> Option<&OnDisk> {
        match &self.stage {
            Stage::Fetched(delta) | Stage::Merged(delta, _) => Some(delta),
            Stage::Received | Stage::Settled => None,
        }
    }

    /// What it did to the records, once it is merged.
    pub(super) fn effects(&self) -> Option<Effects> {
        match self.stage {
            Stage::Merged(_, effects) => Some(effects),
            Stage::Received | Stage::Fetched(_) | Stage::Settled => None,
        }
    }

    fn location(&self) -> &DeltaLocation {
        self.work.source.location()
    }

    pub(super) fn run_id(&self) -> &RunId {
        self.work.id.in_lineage()
    }
}

/// The work of one cycle; without items it only flushes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
}

impl Batch {
    /// Deliveries of the same work become one item: the queue delivers at least once. `is_own` tells the
    /// bucket of the deployment from others.
    pub(super) fn new(received: Vec<ReceivedWork>, is_own: impl Fn(&str) -> bool) -> Self {
        let mut items: Vec<Item> = Vec::new();
        let mut firsts: HashMap<DeltaLocation, usize> = HashMap::new();
        let mut known: HashMap<(WorkId, usize), usize> = HashMap::new();
        for ReceivedWork {
            mut work, delivery, ..
        } in received
        {
            let Source::Delta { location, .. } = &mut work.source;
            normalize(location, &is_own);
            let place = items.len();
            let first = *firsts.entry(location.clone()).or_insert(place);
            let at = *known.entry((work.id.clone(), first)).or_insert(place);
            match items.get_mut(at) {
                Some(item) => item.deliveries.push(delivery),
                None => items.push(Item {
                    work,
                    first,
                    deliveries: vec![delivery],
                    stage: Stage::Received,
                }),
            }
        }
        Self { items }
    }

    /// Whether it has no work: then the cycle only flushes.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether all its work is settled. Without any there is: to flush.
    pub(super) fn is_settled(&self) -> bool {
        !self.items.is_empty() && !self.items.iter().any(Item::is_open)
    }

    /// Items that are not settled, with their places.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Item)> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| item.is_open())
    }

    /// The places of [`Batch::open`].
    pub(super) fn open_places(&self) -> Vec<usize> {
        self.open().map(|(at, _)| at).collect()
    }

    /// The deltas of all open items, each once, with the first open place that names it.
    pub(super) fn locations(&self) -> Vec<(usize, &DeltaLocation)> {
        let mut seen = HashSet::new();
        self.open()
            .filter(|(_, item)| seen.insert(item.first))
            .map(|(at, item)| (at, item.location()))
            .collect()
    }

    /// The open items that have the same delta as the item `at`.
    pub(super) fn members(&self, at: usize) -> Vec<usize> {
        let first = self.items[at].first;
        let same = self.open().filter(|(_, item)| item.first == first);
        same.map(|(at, _)| at).collect()
    }

    /// All items, settled or not, that have the same delta as the item `at`.
    pub(super) fn ever_members(&self, at: usize) -> impl Iterator<Item = usize> {
        let first = self.items[at].first;
        let items = self.items.iter().enumerate();
        items
            .filter(move |(_, item)| item.first == first)
            .map(|(at, _)| at)
    }

    /// The fetched deltas, with the first place that names each.
    pub(super) fn deltas(&self) -> Vec<(usize, PathBuf)> {
        let places = self.locations().into_iter();
        places
            .filter_map(|(at, _)| Some((at, self.items[at].on_disk()?.dir.clone())))
            .collect()
    }

    /// The bytes of the fetched deltas together.
    pub(super) fn bytes(&self) -> u64 {
        let places = self.locations().into_iter();
        let deltas = places.filter_map(|(at, _)| self.items[at].on_disk());
        deltas.fold(0, |sum, delta| sum.saturating_add(delta.bytes))
    }

    pub(super) fn run_ids(&self) -> Vec<RunId> {
        self.open().map(|(_, item)| item.run_id().clone()).collect()
    }

    /// What each open run did to the records, for the manifest.
    pub(super) fn applied(&self) -> Vec<AppliedRun> {
        let merged = self.open().filter_map(|(_, item)| {
            let effects = item.effects()?;
            Some(AppliedRun {
                run_id: item.run_id().clone(),
                added: effects.added,
                updated: effects.updated,
                deleted: effects.deleted,
                merged: effects.merged,
                ignored: effects.ignored,
            })
        });
        merged.collect()
    }

    /// The delta of each open run, for the lineage.
    pub(super) fn digests(&self) -> Vec<(RunId, DeltaDigest)> {
        let open = self.open();
        open.map(|(_, item)| (item.run_id().clone(), item.work.digest()))
            .collect()
    }

    /// Of open runs with one id, those after the first, going through `places` in order.
    pub(super) fn repeated_ids(&self, places: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let open = places.filter(|at| self.items[*at].is_open());
        open.filter(|at| !seen.insert(self.items[*at].run_id()))
            .collect()
    }
}

/// Leaves the bucket out of a location if it is the deployment's own.
pub(super) fn normalize(location: &mut DeltaLocation, is_own: impl Fn(&str) -> bool) {
    location.bucket.take_if(|bucket| is_own(bucket));
}
