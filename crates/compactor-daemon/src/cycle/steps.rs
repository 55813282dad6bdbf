//! The boundaries between the steps of a cycle. The observer learns of each, and tests let daemons crash there.

use compactor_core::CollectionName;
use compactor_snapshots::{Progress, Step};

use crate::context::Context;

/// How far a cycle is.
pub(super) struct Steps<'c> {
    context: &'c Context,
    progress: Progress,
}

impl<'c> Steps<'c> {
    pub(super) fn new(context: &'c Context, collection: &CollectionName) -> Self {
        Self {
            context,
            progress: context.progress(collection),
        }
    }

    /// For steps that are done on blocking threads.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// A step is done.
    pub(super) async fn done(&self, step: Step) {
        self.progress.done(step);
        self.crash_point().await;
    }

    /// A step is done that moved this many bytes.
    pub(super) async fn done_with(&self, step: Step, bytes: u64) {
        self.progress.done_with(step, bytes, 0);
        self.crash_point().await;
    }

    /// Ends the daemon here if a test wants that. [`Steps::done`] includes it; a step that a blocking thread did
    /// and reported itself needs it afterwards.
    pub(super) async fn crash_point(&self) {
        self.context.crash_points.pass().await;
    }
}
