//! `run`: runs the daemon until a signal stops it, or until the queue is empty.

use std::process::ExitCode;

use clap::Args;
use compactor_daemon::{Daemon, Mode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::emf::Emf;
use super::logging::start_logging;
use super::runtime::block_on;
use super::signals::cancel_on_signal;
use crate::error::CommandError;
use crate::output;
use crate::settings::{LogFormat, SettingsArgs};

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Stop when the queue is empty, instead of waiting for more runs.
    #[arg(long)]
    drain: bool,
    /// Print the final summary, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        // An empty new directory has nothing to drain: the user meant another one.
        if self.drain && raw.is_unused() {
            raw.require_data_directory()?;
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
            // SQLite has to know the folder for its temporary files before other threads use it.
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
