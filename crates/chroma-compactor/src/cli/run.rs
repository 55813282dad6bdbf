//! `run`: the daemon.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use compactor_daemon::{Daemon, Mode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::emf::Emf;
use super::runs::check_place;
use super::signals::cancel_on_signal;
use crate::failure::Failure;
use crate::output::{self, Log};
use crate::settings::{LogFormat, RawSettings, SettingsArgs};

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Stop when the queue is empty.
    #[arg(long)]
    drain: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let raw = self.settings.load()?;
        // What waits nowhere cannot be drained: another directory was meant.
        if self.drain && raw.is_unused() {
            check_place(&raw)?;
        }
        start_logging(&raw)?;
        let settings = raw.validate()?;
        let mode = if self.drain {
            Mode::Drain
        } else {
            Mode::Forever
        };
        let summary = block_on(async {
            let (stop, settling) = (CancellationToken::new(), TaskTracker::new());
            cancel_on_signal(stop.clone(), settling.clone())?;
            let emf = Emf::install(&raw)?;
            let ports = raw.open().await?;
            // Before anything goes on beside this: SQLite is told where its temporary files go.
            let scratch = raw.claim_scratch()?;
            if let Some(emf) = emf {
                tokio::spawn(emf.keep_writing(ports.clone()));
            }
            let daemon = Daemon::new(ports, settings, scratch, stop).with_settling(settling);
            tracing::info!(data = %raw.storage.path.display(), ?mode, unhandled = raw.queue.unhandled.name(), "started");
            let outcome = daemon.run(mode).await;
            if let Some(emf) = emf {
                emf.write();
            }
            Ok(outcome?)
        })?;
        let text = match (self.json, raw.log.format) {
            (true, _) => output::to_json(&summary)?,
            (false, LogFormat::Json) => serde_json::json!(summary).to_string(),
            (false, LogFormat::Text) => format!(
                "{} runs completed, {} attempts failed, {} versions published",
                summary.completed, summary.failed, summary.published
            ),
        };
        output::last_line(text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs `work` on a new runtime, and does not wait for blocking work that was abandoned.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::io)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// Logs go to standard error; standard output is for results.
pub(super) fn start_logging(settings: &RawSettings) -> Result<(), Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => settings.log.filter.clone(),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .map_err(|error| Failure::configuration(format!("log.filter `{filter}`: {error}")))?;
    output::log_panics();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(output::stderr_has_colors())
        // Where the log cannot be written there is nobody to tell, and telling would panic.
        .log_internal_errors(false)
        .with_writer(Log::start(settings.log.buffer).clone());
    match settings.log.format {
        LogFormat::Text => logs.fmt_fields(output::fields()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
