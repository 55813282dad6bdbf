//! What a daemon is doing, for status pages and for what protects a working daemon from being scaled in.

use std::collections::BTreeMap;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::Monotonic;
use serde::Serialize;

use super::Summary;
use crate::collection::{CollectionState, Collections, LastCycle, PauseReason, Phase};

/// What a daemon is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Every collection that the daemon has had to do with since it started.
    pub collections: BTreeMap<CollectionName, CollectionStatus>,
    /// What the daemon has done since it started.
    pub summary: Summary,
}

/// What a daemon is doing with one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionStatus {
    /// Messages that are in flight and wait for a cycle.
    pub waiting: usize,
    /// What goes on.
    pub phase: PhaseStatus,
    /// Whether vectors of the published snapshot are due to be flushed.
    pub flush_due: bool,
    /// How the last cycle ended, if there was one.
    pub last_cycle: Option<LastCycle>,
}

/// What goes on with a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseStatus {
    /// A cycle may begin.
    Idle,
    /// A cycle works on it.
    Running,
    /// No cycle begins.
    Paused {
        /// For how much longer.
        remaining: Duration,
        /// Why.
        why: PauseReason,
    },
}

impl Status {
    pub(super) fn of(collections: &Collections, summary: Summary, now: Monotonic) -> Self {
        let collections = collections.iter();
        let collections = collections.map(|(name, state)| (name.clone(), of_one(state, now)));
        Self {
            collections: collections.collect(),
            summary,
        }
    }

    /// Whether a cycle is under way or work waits for one.
    pub fn is_busy(&self) -> bool {
        let mut collections = self.collections.values();
        collections.any(|one| one.phase == PhaseStatus::Running || one.waiting > 0)
    }
}

fn of_one(state: &CollectionState, now: Monotonic) -> CollectionStatus {
    CollectionStatus {
        waiting: state.waiting.len(),
        phase: match state.phase {
            Phase::Idle => PhaseStatus::Idle,
            Phase::Running => PhaseStatus::Running,
            Phase::Paused { until, why } => PhaseStatus::Paused {
                remaining: until.0.saturating_sub(now.0),
                why,
            },
        },
        flush_due: state.flush_due.is_some(),
        last_cycle: state.last_cycle,
    }
}
