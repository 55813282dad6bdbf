//! The state of one collection.

use std::sync::Arc;

use compactor_core::ports::Monotonic;
use compactor_snapshots::{CheckedVersions, Origins, WorkingCopy};
use serde::Serialize;
use tokio::sync::Mutex;

use super::lock_contention::LockContention;
use crate::intake::ReceivedWork;

/// The state of one collection.
#[derive(Default)]
pub(crate) struct CollectionState {
    /// Work that waits for a worker, oldest first.
    pub(crate) waiting: Vec<ReceivedWork>,
    pub(crate) phase: Phase,
    /// Vectors of the published snapshot are due to be flushed, not before this time.
    pub(crate) flush_due: Option<Monotonic>,
    /// How many cycles take one run each, because a cycle with several panicked or ran out of space.
    pub(crate) one_by_one: usize,
    /// Another worker had the lock when this one last asked, and work waits.
    pub(crate) contention: Option<LockContention>,
    /// When the next sweep is due; unknown before the first publish.
    pub(crate) sweep_due: Option<Monotonic>,
    /// What sweeps learned from manifests.
    pub(crate) origins: Arc<Mutex<Origins>>,
    /// What a cycle hands to the next; a running cycle has it.
    pub(crate) memory: Memory,
    pub(crate) last_cycle: Option<LastCycle>,
}

/// What a cycle of a collection hands to the next one.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The directory that was published last.
    pub(crate) working_copy: Option<WorkingCopy>,
    /// Which versions were checked for lost updates.
    pub(crate) checked: CheckedVersions,
}

/// What goes on with a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// A cycle may begin.
    #[default]
    Idle,
    /// A cycle works on it.
    Running,
    /// No cycle begins before `until`.
    Paused { until: Monotonic, why: PauseReason },
}

/// Why no cycle begins for a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseReason {
    /// Another worker holds its lock.
    LockContention,
    /// A fault that may pass by itself.
    Fault,
    /// A fault that an operator has to repair.
    WaitsForOperator,
}

/// How the last cycle of a collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastCycle {
    /// Runs that it completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Whether it published a version.
    pub published: bool,
}

impl Phase {
    /// When the pause ends; nothing if there is no pause.
    pub(crate) fn paused_until(&self) -> Option<Monotonic> {
        match self {
            Self::Paused { until, .. } => Some(*until),
            Self::Idle | Self::Running => None,
        }
    }

    /// Ends a pause whose time is over.
    pub(crate) fn end_pause(&mut self, now: Monotonic) {
        if self.paused_until().is_some_and(|until| until <= now) {
            *self = Self::Idle;
        }
    }
}

impl CollectionState {
    /// Whether a flush is due and may begin.
    pub(crate) fn may_flush(&self, now: Monotonic) -> bool {
        self.flush_due.is_some_and(|until| until <= now)
    }

    /// Takes work for a cycle: at most `limit` pieces, oldest first; one while runs are merged one by one.
    pub(crate) fn take_batch(&mut self, limit: usize) -> Vec<ReceivedWork> {
        let limit = match self.one_by_one.checked_sub(1) {
            None => limit,
            Some(left) => {
                self.one_by_one = left;
                1
            }
        };
        let taken = limit.min(self.waiting.len());
        self.waiting.drain(..taken).collect()
    }

    /// Whether nothing is known of the collection that a new state would not say as well.
    pub(crate) fn is_forgettable(&self) -> bool {
        let Memory {
            working_copy,
            checked,
        } = &self.memory;
        self.waiting.is_empty()
            && self.phase == Phase::Idle
            && self.flush_due.is_none()
            && self.one_by_one == 0
            && self.contention.is_none()
            && self.sweep_due.is_none()
            && working_copy.is_none()
            && checked.is_empty()
    }

    /// Puts work back before what came since.
    pub(crate) fn put_first(&mut self, work: Vec<ReceivedWork>) {
        self.waiting.splice(..0, work);
    }
}
