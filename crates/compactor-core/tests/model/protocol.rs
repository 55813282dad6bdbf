//! The bounds of a check, and the steps that are possible in a state.

use std::time::Duration;

use compactor_core::lease::LeaseTerm;
use compactor_core::ports::WallTime;
use stateright::{Model, Property};

use super::legacy::{self, Legacy};
use super::promises;
use super::publish::{Fate, Sight};
use super::sweep::{self, Clean};
use super::vanish;
use super::worker::{Pace, Step, Task, Turn, Worker};
use super::world::{Runs, World};

/// 2026-11-21.
const START: i64 = 1_795_219_200_000_000;
const SECOND: i64 = 1_000_000;

/// How a worker's clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// One second passes with every version that any writer makes.
    Right,
    /// It stands still, far behind.
    Behind,
}

impl Clock {
    /// The time when version number `ordinal` is made.
    pub(crate) fn wall(self, ordinal: usize) -> WallTime {
        match self {
            Self::Right => WallTime(START + ordinal as i64 * SECOND),
            Self::Behind => WallTime(0),
        }
    }
}

/// A guard that a test removes, to show that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The pointer is put unconditionally.
    PutUnconditionally,
    /// An upload is deleted when its put is refused.
    DeleteOnRefusal,
    /// A put without an answer counts as written.
    SilenceIsSuccess,
    /// Runs are merged without a look at the lineage.
    ForgetLineage,
    /// Ids do not regard their parents.
    MintFromClock,
    /// Every version that the pointer does not name is deleted.
    CollectUnreferenced,
    /// A swap begins whether or not the lease is still held.
    SwapWithoutLease,
    /// A collection without a pointer is a new one.
    StartOver,
    /// The newest complete version takes the place of the published one.
    PutBackNewest,
}

/// The bounds of one check.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    /// One per worker.
    pub(crate) clocks: Vec<Clock>,
    /// How many runs are announced.
    pub(crate) runs: usize,
    /// How many leases are given out; each is one cycle.
    pub(crate) leases: u64,
    /// How often a cycle starts again when another writer was first.
    pub(crate) rebases: u8,
    /// How many puts may be under way whose sender has stopped waiting.
    pub(crate) delayed: usize,
    /// Whether superseded versions are deleted.
    pub(crate) retention: bool,
    /// How often an operator rolls back. With any, there is a version to begin with.
    pub(crate) rollbacks: u8,
    /// Whether a writer without conditions publishes once.
    pub(crate) legacy: bool,
    /// Whether the pointer is deleted once. Then there is a version to begin with.
    pub(crate) vanishes: bool,
    /// How leases are taken.
    pub(crate) term: LeaseTerm,
    /// What is wrong with it.
    pub(crate) mistake: Option<Mistake>,
}

impl Protocol {
    /// Only workers, the first with a right clock; at most three runs.
    pub(crate) fn bounded(workers: usize, runs: usize, leases: u64) -> Self {
        let seconds = Duration::from_secs;
        let term = LeaseTerm::new(seconds(60), seconds(20), seconds(5), seconds(10));
        let mut clocks = vec![Clock::Behind; workers];
        clocks[0] = Clock::Right;
        Self {
            clocks,
            runs,
            leases,
            rebases: 1,
            delayed: 1,
            retention: false,
            rollbacks: 0,
            legacy: false,
            vanishes: false,
            term: term.expect("these agree with each other"),
            mistake: None,
        }
    }

    /// Whether this guard is left out.
    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn offer_worker(&self, world: &World, worker: usize, actions: &mut Vec<Action>) {
        let mut offer = |step| actions.push(Action::Worker(worker, step));
        match world.workers[worker] {
            Worker::Idle => {
                self.tasks(world).for_each(|task| offer(Step::Begin(task)));
                return;
            }
            Worker::Locked(_) => offer(Step::TakeFence),
            Worker::Leased(_) => offer(Step::Resolve),
            Worker::Uploading(..) => [Pace::Prompt, Pace::Late]
                .into_iter()
                .for_each(|pace| offer(Step::Complete(pace))),
            Worker::Swapping(_, upload) => Fate::ALL
                .into_iter()
                .filter(|fate| *fate != Fate::Delayed || self.may_delay(world, upload))
                .for_each(|fate| offer(Step::Put(fate))),
            Worker::ReadingBack(..) => Sight::ALL
                .into_iter()
                .for_each(|sight| offer(Step::ReadBack(sight))),
            Worker::Published(..) => offer(Step::Record),
            Worker::Recorded(..) => offer(Step::Acknowledge),
        }
        offer(Step::Crash);
    }

    /// What an idle worker may begin; nothing once all leases are given out.
    fn tasks(&self, world: &World) -> impl Iterator<Item = Task> {
        let is_locked = |worker: &&Worker| matches!(worker, Worker::Locked(_));
        let due = world.workers.iter().filter(is_locked).count() as u64;
        let may_begin = world.fence.0 + due < self.leases;
        let may_roll_back = may_begin && world.rollbacks > 0;
        let batches = Runs::first(if may_begin { self.runs } else { 0 }).subsets();
        batches
            .map(Task::Merge)
            .chain(may_roll_back.then_some(Task::RollBack))
    }

    fn may_delay(&self, world: &World, upload: usize) -> bool {
        world.wire.len() < self.delayed && !world.wire.contains(&upload)
    }
}

/// One step of one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Of this worker.
    Worker(usize, Step),
    /// The put of this version, whose sender has stopped waiting, reaches the store.
    Land(usize),
    /// Of the clean-up.
    Clean(Clean),
    /// Of the writer without conditions.
    Legacy,
    /// The pointer is deleted, or put back.
    Vanish,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for worker in 0..world.workers.len() {
            self.offer_worker(world, worker, actions);
        }
        actions.extend(world.wire.iter().copied().map(Action::Land));
        if self.retention {
            actions.extend(world.sweep.steps(world).map(Action::Clean));
        }
        if world.legacy != Legacy::Done {
            actions.push(Action::Legacy);
        }
        if vanish::may_go_on(world) {
            actions.push(Action::Vanish);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Worker(worker, step) => Turn {
                protocol: self,
                world: &mut next,
                worker,
            }
            .take(step),
            Action::Land(upload) => next.land(self, upload),
            Action::Clean(step) => sweep::take(self, &mut next, step),
            Action::Legacy => legacy::take(&mut next),
            Action::Vanish => vanish::take(self, &mut next),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::of(self)
    }
}
