//! Where tests end a daemon as a crash would: between two steps, with no clean-up. Without the feature
//! `crash-points` none of it exists.

#[cfg(feature = "crash-points")]
pub use enabled::{CrashPlan, Crashed};

#[cfg(feature = "crash-points")]
pub(crate) use enabled::CrashPoints;

/// Nothing ends the daemon.
#[cfg(not(feature = "crash-points"))]
#[derive(Debug, Clone, Default)]
pub(crate) struct CrashPoints;

#[cfg(not(feature = "crash-points"))]
impl CrashPoints {
    #[expect(clippy::unused_async, reason = "it waits where the feature is enabled")]
    pub(crate) async fn pass(
        &self,
        _: compactor_snapshots::Step,
        _: &compactor_core::CollectionName,
    ) {
    }
}

#[cfg(feature = "crash-points")]
mod enabled {
    use std::sync::Arc;

    use compactor_core::CollectionName;
    use compactor_snapshots::Step;
    use tokio_util::sync::CancellationToken;

    /// Decides where a daemon crashes.
    pub trait CrashPlan: Send + Sync {
        /// Whether the daemon crashes now that `step` is done for `collection`.
        fn crashes_after(&self, step: Step, collection: &CollectionName) -> bool;
    }

    /// A daemon ended as a crash would have ended it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Crashed;

    #[derive(Clone, Default)]
    pub(crate) struct CrashPoints {
        plan: Option<Arc<dyn CrashPlan>>,
        crashed: CancellationToken,
    }

    impl CrashPoints {
        pub(crate) fn new(plan: Arc<dyn CrashPlan>) -> Self {
            Self {
                plan: Some(plan),
                crashed: CancellationToken::new(),
            }
        }

        /// Goes on, or never returns: then the daemon is dropped.
        pub(crate) async fn pass(&self, step: Step, collection: &CollectionName) {
            let plan = self.plan.as_ref();
            if plan.is_some_and(|plan| plan.crashes_after(step, collection)) {
                self.crashed.cancel();
            }
            if self.crashed.is_cancelled() {
                std::future::pending::<()>().await;
            }
        }

        /// Waits until the daemon crashes.
        pub(crate) async fn crashed(&self) {
            self.crashed.cancelled().await;
        }
    }
}
