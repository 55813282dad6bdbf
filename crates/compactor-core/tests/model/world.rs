//! The state that steps read and change: messages, records, lock, versions and pointer.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};

use compactor_core::ports::{Condition, PutOutcome};
use compactor_core::{Fence, Manifest, RunPart, RunState, Version};

use super::legacy::Legacy;
use super::protocol::Protocol;
use super::publish;
use super::snapshots::{Snapshot, run_id};
use super::sweep::Sweep;
use super::vanish::Vanish;
use super::worker::Worker;

/// One state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The step of each worker; lost when it crashes.
    pub(crate) workers: Vec<Worker>,
    /// Runs whose messages are not deleted yet.
    pub(crate) messages: Runs,
    /// The record of each run.
    pub(crate) records: Vec<Record>,
    /// The worker that took the lock last, unless it released it.
    pub(crate) lock: Option<usize>,
    /// The last fence given out.
    pub(crate) fence: Fence,
    /// All versions ever begun, in the order in which they were.
    pub(crate) versions: Vec<Snapshot>,
    /// Which of them the pointer names.
    pub(crate) pointer: Option<usize>,
    /// Puts of the pointer whose sender has stopped waiting, by the version that they name.
    pub(crate) wire: BTreeSet<usize>,
    /// How far the clean-up is.
    pub(crate) sweep: Sweep,
    /// How far the writer without conditions is.
    pub(crate) legacy: Legacy,
    /// How far the operators are that delete and restore the pointer.
    pub(crate) vanish: Vanish,
    /// How many rollbacks may still begin.
    pub(crate) rollbacks: u8,
    /// Runs that a rollback took out of the lineage. For the promises only.
    pub(crate) withdrawn: Runs,
    /// Whether the pointer ever named a version that was not greater. For the promises only.
    pub(crate) went_back: bool,
}

impl World {
    /// Every run is announced and nothing is done.
    pub(crate) fn new(protocol: &Protocol) -> Self {
        let is_begun = protocol.rollbacks > 0 || protocol.vanishes;
        Self {
            workers: vec![Worker::Idle; protocol.clocks.len()],
            messages: Runs::first(protocol.runs),
            records: vec![Record::default(); protocol.runs],
            lock: None,
            fence: Fence(0),
            versions: is_begun.then(Snapshot::empty).into_iter().collect(),
            pointer: is_begun.then_some(0),
            wire: BTreeSet::new(),
            sweep: Sweep::Idle,
            legacy: match protocol.legacy {
                true => Legacy::Due,
                false => Legacy::Done,
            },
            vanish: match protocol.vanishes {
                true => Vanish::Due,
                false => Vanish::Done,
            },
            rollbacks: protocol.rollbacks,
            withdrawn: Runs::NONE,
            went_back: false,
        }
    }

    /// What the pointer names.
    pub(crate) fn published(&self) -> Option<&Snapshot> {
        self.pointer.map(|at| &self.versions[at])
    }

    /// The newest manifest that the published version was made from.
    pub(crate) fn lineage(&self) -> Option<&Manifest> {
        self.published()
            .and_then(|published| published.content.lineage())
    }

    /// The published version, what it was made from, and so on.
    pub(crate) fn ancestry(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.pointer, move |at| self.versions[*at].content.made_from)
    }

    /// Where a version is.
    pub(crate) fn place(&self, version: &Version) -> usize {
        self.versions
            .iter()
            .position(|snapshot| snapshot.content.version == *version)
            .expect("ids of versions that were made")
    }

    /// Every run whose record says COMPLETED.
    pub(crate) fn completed(&self) -> impl Iterator<Item = usize> {
        (0..self.records.len()).filter(move |run| self.records[*run].is_completed())
    }

    /// What the store does with a put of the pointer, and what it answers.
    pub(crate) fn put_pointer(&mut self, to: usize, condition: &Condition) -> PutOutcome {
        let current = self.published().map(|published| published.content.tag());
        match (condition, current) {
            (Condition::Always, _) | (Condition::IfAbsent, None) => {}
            (Condition::IfMatch(_), None) => return PutOutcome::Absent,
            (Condition::IfMatch(tag), Some(current)) if *tag == current => {}
            (Condition::IfAbsent | Condition::IfMatch(_), Some(_)) => {
                return PutOutcome::PreconditionFailed;
            }
        }
        self.point_at(to);
        PutOutcome::Written(self.versions[to].content.tag())
    }

    /// A put that was under way arrives.
    pub(crate) fn land(&mut self, protocol: &Protocol, upload: usize) {
        self.wire.remove(&upload);
        let condition = publish::condition(protocol, &self.versions[upload].content);
        self.put_pointer(upload, &condition);
    }

    fn point_at(&mut self, to: usize) {
        let before = self.published_runs();
        let version = &self.versions[to].content.version;
        let went_back = self
            .published()
            .is_some_and(|published| *version <= published.content.version);
        self.went_back |= went_back;
        self.pointer = Some(to);
        let after = self.published_runs();
        if self.versions[to].content.is_rollback() {
            self.withdrawn = self.withdrawn.with(before);
        }
        self.withdrawn = self.withdrawn.without(after);
    }

    fn published_runs(&self) -> Runs {
        let Some(lineage) = self.lineage() else {
            return Runs::NONE;
        };
        Runs::of((0..self.records.len()).filter(|run| lineage.contains_run(run_id(*run))))
    }
}

/// A set of runs, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Runs(u8);

impl Runs {
    /// No run.
    pub(crate) const NONE: Self = Self(0);

    /// The first `count` runs.
    pub(crate) fn first(count: usize) -> Self {
        Self::of(0..count)
    }

    /// These runs.
    pub(crate) fn of(runs: impl IntoIterator<Item = usize>) -> Self {
        let bits = runs.into_iter().map(|run| 1_u8 << run);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this run is among them.
    pub(crate) fn contains(self, run: usize) -> bool {
        (self.0 >> run) & 1 == 1
    }

    /// Those of both.
    pub(crate) fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are not among the others.
    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Their numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |run| self.contains(*run))
    }

    /// Every set of some of them, but the empty one.
    pub(crate) fn subsets(self) -> impl Iterator<Item = Self> {
        (1..=self.0)
            .filter(move |bits| bits & !self.0 == 0)
            .map(Self)
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The record of a run, as far as it is modelled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) RunPart);

impl Record {
    /// Whether it promises that the run is published.
    pub(crate) fn is_completed(&self) -> bool {
        self.0.state == RunState::Completed
    }
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.state, &self.0.version, self.0.fence).hash(state);
    }
}
