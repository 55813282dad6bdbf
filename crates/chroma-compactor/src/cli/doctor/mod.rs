//! `doctor`: does everything that a daemon needs work, and if not, what is to be done?
//!
//! It uses what it checks as a daemon would, under names that no daemon uses, and leaves nothing
//! behind but the fence counter of a collection called `doctor`.

mod checks;
mod collections;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::run::block_on;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::settings::{RawSettings, SettingsArgs};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// A daemon can work; something is not as it should be.
    Warning,
    /// A daemon cannot work.
    Bad,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    /// The code of the error, where one was met: docs/errors.md says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What was found.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            code: None,
            found: found.into(),
            fix: None,
        }
    }

    /// Fine, with what one may want to know of it.
    fn note(check: &'static str, found: impl Into<String>, note: &str) -> Self {
        Self {
            verdict: Verdict::Ok,
            ..Self::warning(check, found, note)
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, fix: &str) -> Self {
        Self {
            verdict: Verdict::Warning,
            fix: Some(fix.to_owned()),
            ..Self::ok(check, found)
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, fix: &str) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(check, found, fix)
        }
    }

    fn coded(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}

impl Doctor {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
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

/// What is used makes the directory that it is in.
fn made(settings: &RawSettings) -> Finding {
    let path = settings.storage.path.display();
    Finding::warning(
        "data directory",
        format!("{path}: there was none, and one was made"),
        "if another was meant, remove it, and name the other: --data DIR or storage.path",
    )
}
