//! `runs`: lists runs, and announces them again.

mod again;

use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use compactor_core::RunRecord;

use super::runtime::block_on;
use crate::error::CommandError;
use crate::output::{self, Table};
use crate::settings::SettingsArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// List at most COUNT runs, the newest first.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Announce again every run that stayed PENDING or PROCESSING.
    ///
    /// The message of such a run was lost, was never sent, or ran out of receives because daemons died. This
    /// sends a new one; the deltas stay as they are. A run that is still being merged is merged once all the
    /// same.
    Reconcile(again::Reconcile),
    /// Announce one run again, whatever its state.
    ///
    /// Sends a new message for the deltas that the run has uploaded. What the published version contains
    /// already is not merged again.
    Retry(again::Retry),
}

impl Runs {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Some(RunsCommand::Reconcile(command)) => command.json,
            Some(RunsCommand::Retry(command)) => command.json,
            None => self.json,
        }
    }

    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        match self.command {
            Some(RunsCommand::Reconcile(command)) => command.execute(),
            Some(RunsCommand::Retry(command)) => command.execute(),
            None => self.list(),
        }
    }

    fn list(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        raw.require_data_directory()?;
        let records = block_on(async { Ok(raw.open().await?.runs.list(self.limit).await?) })?;
        if self.json {
            output::json(&records)?;
        } else if records.is_empty() {
            output::line("no runs yet")?;
        } else {
            output::lines(&table(&records))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A table with a line for each run and collection.
pub(super) fn table(records: &[RunRecord]) -> String {
    let mut table = Table::new([
        "run",
        "collection",
        "state",
        "merged",
        "ignored",
        "version",
        "error",
    ]);
    for record in records {
        for (collection, part) in &record.parts {
            table.row([
                record.key.run_id.to_string(),
                collection.to_string(),
                part.state.to_string(),
                part.merged_vectors.to_string(),
                part.ignored_operations.to_string(),
                part.version
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
                part.error.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table.render()
}
