//! Counters, and how many tasks there are, as lines of CloudWatch's embedded metric format, on
//! standard error among the logs: what collects the logs of a container finds them there.

use std::time::Duration;

use compactor_daemon::Ports;
use metrics_cloudwatch_embedded::{Builder, Collector};
use tokio::runtime::Handle;

use crate::error::CommandError;
use crate::output::{self, Log};
use crate::settings::RawSettings;

/// How much the daemon has under way: it goes up and down, and must not grow.
const TASKS: &str = "CompactionTasks";

/// Where the counters are.
#[derive(Clone, Copy)]
pub(super) struct Emf {
    collector: &'static Collector,
    every: Duration,
}

impl Emf {
    /// Begins to count, if that is wanted.
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

    /// Writes what was counted, again and again.
    pub(super) async fn keep_writing(self, ports: Ports) {
        loop {
            ports.clock.sleep(self.every).await;
            let tasks = Handle::current().metrics().num_alive_tasks();
            metrics::gauge!(TASKS).set(u32::try_from(tasks).unwrap_or(u32::MAX));
            // What was counted waits for the log's reader: a line that is dropped is lost.
            if !Log::get().is_some_and(Log::is_behind) {
                self.write();
            }
        }
    }

    /// Writes what was counted since the last time, in one piece so that no log line gets between.
    pub(super) fn write(self) {
        let mut lines = Vec::new();
        match self.collector.flush(&mut lines) {
            Ok(()) if lines.is_empty() => {}
            Ok(()) => output::error_bytes(&lines),
            Err(error) => tracing::warn!(%error, "cannot write the metrics"),
        }
    }
}
