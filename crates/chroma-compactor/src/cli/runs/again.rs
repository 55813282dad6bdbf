//! `runs reconcile` and `runs retry`: send a new message for runs that have a record.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use compactor_core::{CollectionName, RunId, RunRecord, RunState};
use compactor_daemon::announce_again;
use serde::Serialize;

use crate::cli::runtime::block_on;
use crate::error::CommandError;
use crate::output;
use crate::settings::SettingsArgs;

#[derive(Debug, Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Only runs whose record has not changed for this long, such as 90s, 10m or 2h. The message of a
    /// younger one may still be on its way.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// List what would be announced, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The run's id, as `runs` lists it.
    run_id: RunId,
    /// Announce only this collection of the run. Default: all of them.
    #[arg(long, value_name = "NAME")]
    collection: Option<CollectionName>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A run, and its collections that were announced, or would be in a dry run.
#[derive(Debug, Serialize)]
struct Announced {
    run_id: RunId,
    collections: Vec<CollectionName>,
}

impl Reconcile {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        raw.require_data_directory()?;
        let admission = raw.validate()?.admission;
        let (announced, failed) = block_on(async {
            let ports = raw.open().await?;
            let now = ports.clock.wall();
            // A run that was attempted since then has a message.
            let is_due = |record: &RunRecord| {
                let last = record.created_at.max(record.updated_at);
                last.plus(self.older_than) <= now
            };
            let (mut announced, mut failed) = (Vec::new(), Vec::new());
            for record in ports.runs.list(usize::MAX).await? {
                let open = record.parts.iter().filter(|(_, part)| is_open(part.state));
                let collections: Vec<_> = open.map(|(name, _)| name.clone()).collect();
                if !is_due(&record) || collections.is_empty() {
                    continue;
                }
                if !self.dry_run
                    && let Err(error) =
                        announce_again(&ports, &admission, &record, &collections, &raw.region())
                            .await
                {
                    failed.push((record.key.run_id, error));
                    continue;
                }
                announced.push(Announced {
                    run_id: record.key.run_id,
                    collections,
                });
            }
            Ok((announced, failed))
        })?;
        let code = report(&announced, self.dry_run, self.json)?;
        // A run that cannot be announced does not keep the others from it.
        match failed.into_iter().next() {
            Some((run, error)) => {
                Err(CommandError::from(error).about(&format!("run {run} cannot be announced")))
            }
            None => Ok(code),
        }
    }
}

impl Retry {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        raw.require_data_directory()?;
        let admission = raw.validate()?.admission;
        let announced = block_on(async {
            let ports = raw.open().await?;
            let records = ports.runs.list(usize::MAX).await?;
            let found = records
                .into_iter()
                .find(|record| record.key.run_id == self.run_id);
            let record = found.ok_or_else(|| {
                let message = format!("there is no run {}", self.run_id);
                CommandError::usage(message).with_help("`chroma-compactor runs` lists them")
            })?;
            let wanted =
                |name: &&CollectionName| self.collection.as_ref().is_none_or(|only| only == *name);
            let collections: Vec<_> = record.parts.keys().filter(wanted).cloned().collect();
            if collections.is_empty() {
                let known: Vec<_> = record.parts.keys().map(CollectionName::as_str).collect();
                let message = format!("run {} has no such collection", self.run_id);
                let help = format!("it has: {}", known.join(", "));
                return Err(CommandError::usage(message).with_help(help));
            }
            announce_again(&ports, &admission, &record, &collections, &raw.region()).await?;
            Ok(vec![Announced {
                run_id: record.key.run_id,
                collections,
            }])
        })?;
        report(&announced, false, self.json)
    }
}

/// Whether the run still has to be merged. A run may stay PROCESSING because its daemon died.
fn is_open(state: RunState) -> bool {
    match state {
        RunState::Pending | RunState::Processing => true,
        RunState::Completed | RunState::Failed => false,
    }
}

fn report(announced: &[Announced], dry_run: bool, json: bool) -> Result<ExitCode, CommandError> {
    if json {
        output::json(&announced)?;
        return Ok(ExitCode::SUCCESS);
    }
    let done = if dry_run {
        "would announce"
    } else {
        "announced"
    };
    for one in announced {
        let names: Vec<_> = one.collections.iter().map(CollectionName::as_str).collect();
        output::line(&format!("{done} {}: {}", one.run_id, names.join(", ")))?;
    }
    if announced.is_empty() {
        output::line("nothing to announce")?;
    }
    Ok(ExitCode::SUCCESS)
}
