//! `runs`: what became of runs.

use std::process::ExitCode;

use clap::Args;
use compactor_core::RunRecord;

use super::run::block_on;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::settings::SettingsArgs;

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Show at most this many, newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Runs {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let raw = self.settings.load()?;
        raw.validate()?;
        if raw.is_local() && !raw.storage.path.is_dir() {
            let message = format!(
                "{}: there is no data directory here",
                raw.storage.path.display()
            );
            return Err(Failure::usage(message).with_help("pass --data DIR, or submit a run first"));
        }
        let records = block_on(async { Ok(raw.open().await?.runs.list(self.limit).await?) })?;
        if self.json {
            output::json(&records)?;
        } else if records.is_empty() {
            output::line("no runs yet")?;
        } else {
            output::line(&table(&records))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One line per run and collection.
pub(super) fn table(records: &[RunRecord]) -> String {
    let mut table = Table::new(["run", "collection", "state", "merged", "version", "error"]);
    for record in records {
        for (collection, part) in &record.parts {
            table.row([
                record.key.run_id.to_string(),
                collection.to_string(),
                part.state.to_string(),
                part.merged_vectors.to_string(),
                part.version
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
                part.error.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table.render()
}
