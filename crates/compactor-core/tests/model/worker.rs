//! The cycle of a worker, except for the swap.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use compactor_core::lease::HeldLease;
use compactor_core::ports::{Completion, Monotonic, WallTime};
use compactor_core::swap::PutResult;
use compactor_core::{Fence, Manifest, RunId, Version};

use super::protocol::{Mistake, Protocol};
use super::publish::{Evidence, Fate, Sight};
use super::snapshots::{Content, Objects, Snapshot, applied, manifest, random, run_id};
use super::vanish;
use super::world::{Runs, World};

/// The step that a worker is at, and all that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Worker {
    /// Nothing.
    Idle,
    /// It has messages and the lock.
    Locked(Task),
    /// It has a fence as well.
    Leased(Cycle),
    /// It read the pointer, merged, and sent the files of this version.
    Uploading(Cycle, usize),
    /// The version is complete and the lease was renewed: it puts the pointer.
    Swapping(Cycle, usize),
    /// The answer to the put does not decide, so it reads the pointer back.
    ReadingBack(Cycle, usize, Answer),
    /// The runs are in the published lineage.
    Published(Cycle, Found),
    /// Their records say so.
    Recorded(Cycle, Found),
}

/// What a cycle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    /// To merge these runs.
    Merge(Runs),
    /// To publish a copy of what was published before.
    RollBack,
}

impl Task {
    /// The runs that it merges.
    pub(crate) fn runs(self) -> Runs {
        match self {
            Self::Merge(runs) => runs,
            Self::RollBack => Runs::NONE,
        }
    }

    /// Their ids.
    pub(crate) fn run_ids(self) -> Vec<RunId> {
        self.runs().iter().map(|run| run_id(run).clone()).collect()
    }
}

/// What stays the same between the steps of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cycle {
    /// What is left to do.
    pub(crate) task: Task,
    /// The fence of its lease.
    pub(crate) fence: Fence,
    /// How often it started again.
    pub(crate) rebases: u8,
}

/// Runs that were found published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Found {
    /// The runs that were found.
    pub(crate) runs: Runs,
    /// In the lineage of this version.
    pub(crate) version: usize,
    /// How that is known.
    pub(crate) evidence: Evidence,
    /// The base to go on from with the other runs, if there are any.
    pub(crate) rest_on: Option<usize>,
}

/// The last answer to a put of the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) PutResult);

impl Hash for Answer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.0).hash(state);
    }
}

/// How long the renewal before the swap takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// No time.
    Prompt,
    /// As long as the lease.
    Late,
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Takes messages, and takes the lock from its holder.
    Begin(Task),
    /// Takes the next fence.
    TakeFence,
    /// Reads the pointer; merges, and sends files.
    Resolve,
    /// Writes the manifest, and renews the lease.
    Complete(Pace),
    /// Puts the pointer.
    Put(Fate),
    /// Reads pointer and manifest.
    ReadBack(Sight),
    /// Completes the records.
    Record,
    /// Deletes the messages.
    Acknowledge,
    /// Is killed.
    Crash,
}

/// A step of one worker.
pub(crate) struct Turn<'a> {
    pub(crate) protocol: &'a Protocol,
    pub(crate) world: &'a mut World,
    pub(crate) worker: usize,
}

impl Turn<'_> {
    pub(crate) fn take(&mut self, step: Step) {
        match (self.world.workers[self.worker], step) {
            (_, Step::Crash) => self.leave(),
            (Worker::Idle, Step::Begin(task)) => self.begin(task),
            (Worker::Locked(task), Step::TakeFence) => self.take_fence(task),
            (Worker::Leased(cycle), Step::Resolve) => self.resolve(cycle),
            (Worker::Uploading(cycle, upload), Step::Complete(pace)) => {
                self.complete(cycle, upload, pace);
            }
            (Worker::Swapping(cycle, upload), Step::Put(fate)) => self.put(cycle, upload, fate),
            (Worker::ReadingBack(cycle, upload, answer), Step::ReadBack(sight)) => {
                self.read_back(cycle, upload, answer, sight);
            }
            (Worker::Published(cycle, found), Step::Record) => self.record(cycle, found),
            (Worker::Recorded(cycle, found), Step::Acknowledge) => self.acknowledge(cycle, found),
            (worker, step) => unreachable!("{step:?} is not offered to {worker:?}"),
        }
    }

    pub(crate) fn enter(&mut self, worker: Worker) {
        self.world.workers[self.worker] = worker;
    }

    /// Ends the cycle. A lock that is left behind expires: that is only a delay.
    pub(crate) fn leave(&mut self) {
        if self.world.lock == Some(self.worker) {
            self.world.lock = None;
        }
        self.enter(Worker::Idle);
    }

    fn begin(&mut self, task: Task) {
        self.world.lock = Some(self.worker);
        if task == Task::RollBack {
            self.world.rollbacks -= 1;
        }
        self.enter(Worker::Locked(task));
    }

    fn take_fence(&mut self, task: Task) {
        let fence = Fence(self.world.fence.0 + 1);
        self.world.fence = fence;
        let rebases = 0;
        self.enter(Worker::Leased(Cycle {
            task,
            fence,
            rebases,
        }));
    }

    fn resolve(&mut self, cycle: Cycle) {
        let base = self.world.pointer;
        let Some((at, published)) = base.zip(self.world.published()) else {
            if vanish::is_refused(self.world) && !self.protocol.has(Mistake::StartOver) {
                return self.leave();
            }
            return self.upload(cycle, None);
        };
        if published.objects != Objects::All {
            // Nothing can be built on it. Only a mistake leads here.
            return self.leave();
        }
        let runs = self.in_lineage(published, cycle.task.runs());
        if runs.is_empty() {
            return self.upload(cycle, base);
        }
        let rest = cycle.task.runs().without(runs);
        let found = Found {
            runs,
            version: at,
            evidence: Evidence::Lineage,
            rest_on: (!rest.is_empty()).then_some(at),
        };
        let task = Task::Merge(rest);
        self.enter(Worker::Published(Cycle { task, ..cycle }, found));
    }

    /// Those of `runs` that are published already. A version without a manifest shows none.
    fn in_lineage(&self, published: &Snapshot, runs: Runs) -> Runs {
        match &published.content.manifest {
            Some(manifest) if !self.protocol.has(Mistake::ForgetLineage) => Runs::of(
                runs.iter()
                    .filter(|run| manifest.contains_run(run_id(*run))),
            ),
            _ => Runs::NONE,
        }
    }

    /// Mints a version from `base` and sends its files.
    fn upload(&mut self, cycle: Cycle, base: Option<usize>) {
        let Some(applied_runs) = self.next_lineage(cycle.task, base) else {
            return self.leave();
        };
        let upload = self.world.versions.len();
        let parent = base.map(|base| &*self.world.versions[base].content);
        let version = self.mint(upload, parent.map(|parent| &parent.version));
        let manifest = manifest(
            version,
            parent,
            cycle.fence,
            cycle.task.runs(),
            applied_runs,
        );
        let content = Content::of(manifest, base);
        self.world.versions.push(Snapshot::begun(content));
        self.enter(Worker::Uploading(cycle, upload));
    }

    /// The lineage of a version made from `base`; `None` if there is no version to roll back to.
    fn next_lineage(&self, task: Task, base: Option<usize>) -> Option<Vec<RunId>> {
        let content = |at: usize| &*self.world.versions[at].content;
        match task {
            Task::Merge(runs) => {
                let lineage = base.and_then(|base| content(base).lineage());
                Some(Manifest::extend_lineage(lineage, &applied(runs)))
            }
            Task::RollBack => {
                let before = content(content(base?).made_from?).lineage()?;
                Some(before.applied_runs.clone())
            }
        }
    }

    fn mint(&self, ordinal: usize, parent: Option<&Version>) -> Version {
        let now = self.protocol.clocks[self.worker].wall(ordinal);
        let parent = parent.filter(|_| !self.protocol.has(Mistake::MintFromClock));
        Version::mint(now, random(ordinal), parent)
    }

    fn complete(&mut self, cycle: Cycle, upload: usize, pace: Pace) {
        let objects = &mut self.world.versions[upload].objects;
        *objects = match *objects {
            Objects::Files => Objects::All,
            // Deleted while it was under way.
            _ => Objects::Manifest,
        };
        if self.may_swap(pace) {
            self.enter(Worker::Swapping(cycle, upload));
        } else {
            self.leave();
        }
    }

    /// The renewal before the swap: the lock is still ours, and there is time.
    fn may_swap(&self, pace: Pace) -> bool {
        let (before, term) = (Monotonic(Duration::ZERO), &self.protocol.term);
        let now = match pace {
            Pace::Prompt => before,
            Pace::Late => Monotonic(term.term()),
        };
        let is_renewed = self.world.lock == Some(self.worker);
        let is_renewed = is_renewed || self.protocol.has(Mistake::SwapWithoutLease);
        is_renewed && HeldLease::granted(before, term).may_swap(now)
    }

    fn record(&mut self, cycle: Cycle, found: Found) {
        let content = &self.world.versions[found.version].content;
        let manifest = content.manifest.as_ref();
        let completion = Completion {
            merged_vectors: 1,
            ignored_operations: 0,
            version: content.version.clone(),
            fence: manifest.map_or(cycle.fence, |manifest| manifest.fence),
            at: WallTime(0),
        };
        for run in found.runs.iter() {
            self.world.records[run].0.complete(&completion);
        }
        self.enter(Worker::Recorded(cycle, found));
    }

    fn acknowledge(&mut self, cycle: Cycle, found: Found) {
        self.world.messages = self.world.messages.without(found.runs);
        match found.rest_on {
            Some(base) => self.upload(cycle, Some(base)),
            None => self.leave(),
        }
    }
}
