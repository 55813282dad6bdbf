//! Metrics in CloudWatch's embedded metric format (EMF), written to standard error among the log lines,
//! where the log collector of a container finds them.

use std::time::Duration;

use compactor_daemon::Ports;
use metrics_cloudwatch_embedded::{Builder, Collector};
use tokio::runtime::Handle;

use crate::error::CommandError;
use crate::output::{self, Log};
use crate::settings::RawSettings;

/// The number of live tasks of the runtime. It goes up and down; steady growth means a leak.
const TASKS: &str = "CompactionTasks";

/// Collects the metrics of the process, and writes them.
#[derive(Clone, Copy)]
pub(super) struct Emf {
    collector: &'static Collector,
    every: Duration,
}

impl Emf {
    /// Begins to collect metrics; `None` if `metrics.emf` is off.
    ///
    /// # Errors
    /// The process collects metrics already, or the namespace cannot be used.
    pub(super) fn install(settings: &RawSettings) -> Result<Option<Self>, CommandError> {
        let settings = &settings.metrics;
        if !settings.emf {
            return Ok(None);
        }
        let builder = Builder::new().cloudwatch_namespace(settings.namespace.clone());
        let collector = builder
            .init()
            .map_err(|error| CommandError::configuration(format!("metrics: {error}")))?;
        Ok(Some(Self {
            collector,
            every: settings.every,
        }))
    }

    /// Writes the metrics every `metrics.every`, and never returns.
    pub(super) async fn keep_writing(self, ports: Ports) {
        loop {
            ports.clock.sleep(self.every).await;
            let tasks = Handle::current().metrics().num_alive_tasks();
            metrics::gauge!(TASKS).set(u32::try_from(tasks).unwrap_or(u32::MAX));
            // Counts can wait for a slow reader of the log. A dropped line would lose them.
            if !Log::get().is_some_and(Log::is_behind) {
                self.write();
            }
        }
    }

    /// Writes the metrics since the last call, in one piece so that no log line gets between.
    pub(super) fn write(self) {
        let mut lines = Vec::new();
        match self.collector.flush(&mut lines) {
            Ok(()) if lines.is_empty() => {}
            Ok(()) => output::error_bytes(&lines),
            Err(error) => tracing::warn!(%error, "cannot write the metrics"),
        }
    }
}
