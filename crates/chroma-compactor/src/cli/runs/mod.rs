//! `runs`: what became of runs, and announcing them again.

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
    /// Show at most this many, newest first.
    #[arg(long, default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Announce runs again that stayed PENDING or PROCESSING: their message was lost, never sent, or
    /// used up by daemons that died.
    Reconcile(again::Reconcile),
    /// Announce one run again, whatever became of it.
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

/// One line per run and collection.
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
