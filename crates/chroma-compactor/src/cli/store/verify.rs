//! `store verify DIR`: checks whether a directory is sound.

use std::path::PathBuf;
use std::process::ExitCode;

use chroma_store::{Problem, Severity, VerifyLevel};
use clap::Args;

use crate::error::CommandError;
use crate::output::{self, Progress};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The Chroma directory, the one with chroma.sqlite3.
    dir: PathBuf,
    /// Read every row of the database and every byte of the index files, not only structure and sizes.
    #[arg(long)]
    full: bool,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Verify {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let level = if self.full {
            VerifyLevel::Full
        } else {
            VerifyLevel::Quick
        };
        let progress = Progress::new(1, self.json);
        progress.step("verifying");
        let report = chroma_store::verify(&self.dir, level)?;
        drop(progress);
        let sound = report.is_sound();
        if self.json {
            output::json(&report)?;
        } else {
            print_problems(&report.problems)?;
            let records: u64 = report
                .collections
                .iter()
                .map(|checked| checked.records)
                .sum();
            let verdict = match (sound, self.full) {
                (true, true) => "sound".to_owned(),
                (true, false) => {
                    "sound as far as the quick check goes (--full reads everything)".to_owned()
                }
                (false, _) => "NOT SOUND: do not publish it".to_owned(),
            };
            output::line(&format!(
                "{}: {} collections, {records} records, schema level {}: {verdict}",
                self.dir.display(),
                report.collections.len(),
                report.schema_level,
            ))?;
        }
        Ok(if sound {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

pub(super) fn print_problems(problems: &[Problem]) -> Result<(), CommandError> {
    for problem in problems {
        let severity = match problem.severity {
            Severity::Warning => "warning",
            Severity::Error => "ERROR",
        };
        output::line(&format!("{severity} {problem}"))?;
    }
    Ok(())
}
