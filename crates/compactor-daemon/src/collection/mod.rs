//! What the daemon knows of each collection: one value per collection, and the only state of the worker pool
//! that outlives a cycle.

mod lock_contention;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::Monotonic;
use compactor_snapshots::WorkingCopy;

use crate::intake::{Look, ReceivedWork};

pub(crate) use state::{CollectionState, Memory, Phase};
pub use state::{LastCycle, PauseReason};

/// All collections that the daemon has had to do with.
#[derive(Default)]
pub(crate) struct Collections(BTreeMap<CollectionName, CollectionState>);

impl Collections {
    /// The state of a collection, which may be new.
    pub(crate) fn get(&mut self, collection: &CollectionName) -> &mut CollectionState {
        self.0.entry(collection.clone()).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&CollectionName, &CollectionState)> {
        self.0.iter()
    }

    /// Work that is let in waits for a worker.
    pub(crate) fn wait(&mut self, received: ReceivedWork) {
        let collection = received.work.collection.clone();
        self.get(&collection).waiting.push(received);
    }

    /// Whether work waits for a worker.
    pub(crate) fn has_waiting(&self) -> bool {
        self.0.values().any(|state| !state.waiting.is_empty())
    }

    /// Whether a flush is due for a collection and may begin.
    pub(crate) fn has_flush_due(&self, now: Monotonic) -> bool {
        self.0.values().any(|state| state.may_flush(now))
    }

    /// Collections that a cycle may begin for: those with waiting work first, then those whose flush is due.
    pub(crate) fn ready(&mut self, now: Monotonic) -> Vec<CollectionName> {
        for state in self.0.values_mut() {
            state.phase.end_pause(now);
        }
        let idle = self
            .0
            .iter()
            .filter(|(_, state)| state.phase == Phase::Idle);
        let (waiting, others): (Vec<_>, Vec<_>) =
            idle.partition(|(_, state)| !state.waiting.is_empty());
        let due = others.into_iter().filter(|(_, state)| state.may_flush(now));
        let ready = waiting.into_iter().chain(due);
        ready.map(|(collection, _)| collection.clone()).collect()
    }

    /// When the next pause ends or the next flush may begin, if that is not now.
    pub(crate) fn next_change(&self, now: Monotonic) -> Option<Monotonic> {
        let times = self.0.values().flat_map(|state| {
            let flush = state.flush_due.filter(|until| *until > now);
            [state.phase.paused_until(), flush]
        });
        times.flatten().min()
    }

    /// Collections that a cycle works on.
    pub(crate) fn running(&self) -> impl Iterator<Item = &CollectionName> {
        let running = self.0.iter();
        running
            .filter(|(_, state)| state.phase == Phase::Running)
            .map(|(collection, _)| collection)
    }

    /// How much work waits for other collections than `collection` whose lock another worker has.
    pub(crate) fn waiting_for_locks(&self, collection: &CollectionName) -> usize {
        self.waiting_beside(collection, |state| state.contention.is_some())
    }

    /// How much work waits for other collections than `collection` that are paused.
    pub(crate) fn waiting_in_pauses(&self, collection: &CollectionName) -> usize {
        self.waiting_beside(collection, |state| state.phase.paused_until().is_some())
    }

    fn waiting_beside(
        &self,
        collection: &CollectionName,
        is_meant: impl Fn(&CollectionState) -> bool,
    ) -> usize {
        let others = self.0.iter().filter(|(other, _)| *other != collection);
        let meant = others.filter(|(_, state)| is_meant(state));
        meant.map(|(_, state)| state.waiting.len()).sum()
    }

    /// Own queues were looked at.
    pub(crate) fn queues_were_seen(&mut self, looks: Vec<Look>, now: Monotonic) {
        for Look { collection, locked } in looks {
            let state = self.get(&collection);
            match locked {
                Some((holder, queued)) => {
                    let contention = state.contention.get_or_insert_default();
                    contention.queue_waits(&collection, &holder, queued, now);
                }
                // Waiting work finds out by itself what becomes of it.
                None if state.waiting.is_empty() => state.contention = None,
                None => {}
            }
        }
    }

    /// Takes all working copies, to be removed: the disk is full.
    pub(crate) fn take_working_copies(&mut self) -> Vec<WorkingCopy> {
        let states = self.0.values_mut();
        states
            .filter_map(|state| state.memory.working_copy.take())
            .collect()
    }

    /// Forgets a collection of which nothing is known: senders choose the names of collections.
    pub(crate) fn forget_if_idle(&mut self, collection: &CollectionName) {
        if self
            .0
            .get(collection)
            .is_some_and(CollectionState::is_forgettable)
        {
            self.0.remove(collection);
        }
    }

    /// Takes all waiting work.
    pub(crate) fn take_all(&mut self) -> Vec<ReceivedWork> {
        let waiting = self.0.values_mut().map(|state| &mut state.waiting);
        waiting.flat_map(std::mem::take).collect()
    }
}

/// The time `after` from `now`.
pub(crate) fn later(now: Monotonic, after: Duration) -> Monotonic {
    Monotonic(now.0.saturating_add(after))
}
