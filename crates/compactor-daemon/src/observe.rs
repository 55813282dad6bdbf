//! The observer of a daemon that was given no other: it logs each step.

use compactor_snapshots::{Observed, Observer};

/// Logs each step at DEBUG.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn observe(&self, observed: &Observed<'_>) {
        tracing::debug!(
            step = observed.step.name(),
            collection = %observed.collection,
            took = ?observed.took,
            bytes = observed.bytes,
            rows = observed.rows,
            "reached"
        );
    }
}
