//! `doctor`: checks that everything a daemon needs works, and says how to fix what does not.
//!
//! It uses each port as a daemon would, under names that no daemon uses. It leaves nothing behind but the
//! fence counter of a collection called `doctor`.

mod checks;
mod collections;
mod finding;

use std::process::ExitCode;

use clap::Args;

use self::finding::{Finding, Verdict};
use super::runtime::block_on;
use crate::error::CommandError;
use crate::output::{self, Table};
use crate::settings::{RawSettings, SettingsArgs};

/// A collection that no daemon has: the doctor writes and locks below its name only.
const COLLECTION: &str = "doctor";

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the result, or the error, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Doctor {
    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        let raw = self.settings.load()?;
        let unused = raw.is_unused().then(|| made(&raw));
        let found = block_on(async { Ok(checks::all(&raw).await) })?;
        let findings: Vec<Finding> = unused.into_iter().chain(found).collect();
        if self.json {
            output::json(&findings)?;
        } else {
            let mut table = Table::new(["check", "verdict", "found", "what to do"]);
            for finding in &findings {
                let verdict = match finding.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Bad => "BAD",
                };
                table.row([
                    finding.check.to_owned(),
                    verdict.to_owned(),
                    match &finding.code {
                        Some(code) => format!("{code}: {}", finding.found),
                        None => finding.found.clone(),
                    },
                    finding.fix.clone().unwrap_or_default(),
                ]);
            }
            output::lines(&table.render())?;
        }
        let is_bad = findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Bad);
        Ok(if is_bad {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Opening the local backend has made a data directory; the user may have meant another one.
fn made(settings: &RawSettings) -> Finding {
    let path = settings.storage.path.display();
    Finding::warning(
        "data directory",
        format!("{path}: did not exist, and was made"),
        "if you meant another one, remove this one and name the other: --data DIR or storage.path",
    )
}
