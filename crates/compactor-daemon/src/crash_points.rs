//! Where tests end a daemon as a crash would: between two steps, with no clean-up. Without the feature
//! `crash-points` none of it exists.

#[cfg(feature = "crash-points")]
pub use enabled::{CrashPlan, Crashed};

#[cfg(feature = "crash-points")]
pub(crate) use enabled::CrashPoints;

/// Nothing ends the daemon.
#[cfg(not(feature = "crash-points"))]
#[derive(Debug, Clone, Default)]
pub(crate) struct CrashPoints {}

#[cfg(not(feature = "crash-points"))]
impl CrashPoints {
    #[expect(clippy::unused_async, reason = "it waits where the feature is enabled")]
    pub(crate) async fn pass(&self) {}
}

#[cfg(feature = "crash-points")]
mod enabled {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    /// Decides when a daemon crashes. An `Observer` that is one too knows which step was done.
    pub trait CrashPlan: Send + Sync {
        /// Whether the daemon crashes. It is asked after each step, once the observer knows of the step.
        fn crashes(&self) -> bool;
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
        pub(crate) async fn pass(&self) {
            if self.plan.as_ref().is_some_and(|plan| plan.crashes()) {
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
