//! The boundaries between the steps of a cycle: told to the observer, and where tests let a daemon crash.

use compactor_core::CollectionName;
use compactor_snapshots::{Progress, Step};

use crate::context::Context;

/// How far a cycle is.
pub(super) struct Steps<'c> {
    context: &'c Context,
    collection: CollectionName,
    progress: Progress,
}

impl<'c> Steps<'c> {
    pub(super) fn new(context: &'c Context, collection: &CollectionName) -> Self {
        Self {
            context,
            collection: collection.clone(),
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
        self.pass(step).await;
    }

    /// A step is done that moved this many bytes.
    pub(super) async fn done_with(&self, step: Step, bytes: u64) {
        self.progress.done_with(step, bytes, 0);
        self.pass(step).await;
    }

    /// A step was told to the observer by the blocking thread that did it.
    pub(super) async fn pass(&self, step: Step) {
        let crash_points = &self.context.crash_points;
        crash_points.pass(step, &self.collection).await;
    }
}
