//! What a cycle leaves to the daemon when it has ended.

use compactor_core::disposition::Disposition;
use compactor_core::ports::LockHolder;

use super::disposition::{Failed, disposition};
use crate::Error;
use crate::intake::ReceivedWork;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Runs that are in the published lineage now.
    pub(crate) completed: u64,
    /// Attempts that failed; the message comes back or is in the dead-letter queue.
    pub(crate) failed: u64,
    /// Versions published.
    pub(crate) published: u64,
    /// It panicked, or ran out of space, with several deltas: merged one by one, they show which of them is at
    /// fault.
    pub(crate) one_by_one: bool,
    /// The disk is full.
    pub(crate) is_out_of_space: bool,
    /// Whether vectors of the published snapshot are due to be flushed, if the cycle found out.
    pub(crate) flush_due: Option<bool>,
}

/// What is left of a cycle.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    /// The untouched work and the holder, if another worker holds the collection's lease.
    pub(crate) contended: Option<(Vec<ReceivedWork>, LockHolder)>,
    /// Work for which there was no room beside the rest.
    pub(crate) postponed: Vec<ReceivedWork>,
    /// Work that stays in flight, because a fault that is not its own keeps it from being merged.
    pub(crate) kept: Option<KeptWork>,
}

/// Work that waits for the end of some trouble.
pub(crate) struct KeptWork {
    pub(crate) work: Vec<ReceivedWork>,
    pub(crate) trouble: Error,
}

impl KeptWork {
    /// Whether other work of the same collection may be merged meanwhile.
    pub(crate) fn is_out_of_space(&self) -> bool {
        self.trouble.is_out_of_space()
    }

    /// Whether an operator has to do something before it can be over.
    pub(crate) fn waits_for_operator(&self) -> bool {
        disposition(Failed::Cycle, &self.trouble) == Disposition::Pause
    }
}
