//! How long each phase of the checks takes, and which checks this machine could not run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command::{TaskError, root};

/// The environment variable that names a file. A test that this machine cannot run appends a line to it.
pub(crate) const NOT_RUN: &str = "CHROMA_NOT_RUN";

/// The file with a line for each test or check that was not run.
pub(crate) fn not_run_file() -> PathBuf {
    root().join("target/not-run.txt")
}

/// Runs a command that runs tests, and prints at its end what was not run.
///
/// # Errors
/// Those of `command`; the file cannot be written.
pub(crate) fn tell_not_run(
    command: impl FnOnce() -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let file = not_run_file();
    if let Some(folder) = file.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(&file, "")?;
    let outcome = command();
    for line in not_run() {
        eprintln!("==> {line}");
    }
    outcome
}

/// Prints that this machine cannot run something, now and again at the end.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn not_run_here(what: &str) -> Result<(), TaskError> {
    let line = format!("NOT RUN: {what}");
    eprintln!("==> {line}");
    let mut file = fs_err::OpenOptions::new()
        .append(true)
        .open(not_run_file())?;
    Ok(writeln!(file, "{line}")?)
}

/// The lines of the file, each once.
fn not_run() -> BTreeSet<String> {
    let lines = fs_err::read_to_string(not_run_file()).unwrap_or_default();
    lines.lines().map(str::to_owned).collect()
}

/// The phases that were run so far, and their times.
#[derive(Debug)]
pub(crate) struct Phases {
    began: Instant,
    done: Vec<Phase>,
}

#[derive(Debug)]
struct Phase {
    name: &'static str,
    took: Duration,
    passed: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a report for people needs real time"
)]
impl Phases {
    /// Starts the clock for all phases.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs a phase, and records its time and whether it passed.
    ///
    /// # Errors
    /// Those of `phase`.
    pub(crate) fn time<T>(
        &mut self,
        name: &'static str,
        phase: impl FnOnce() -> Result<T, TaskError>,
    ) -> Result<T, TaskError> {
        let began = Instant::now();
        let outcome = phase();
        self.done.push(Phase {
            name,
            took: began.elapsed(),
            passed: outcome.is_ok(),
        });
        outcome
    }

    /// A table with the seconds of each phase and of all.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from("==> seconds\n");
        let rows = self.done.iter().map(|phase| {
            let name = match phase.passed {
                true => phase.name.to_owned(),
                false => format!("{} FAILED", phase.name),
            };
            (name, phase.took)
        });
        let all = [("all".to_owned(), self.began.elapsed())];
        for (name, took) in rows.chain(all) {
            let _ = writeln!(table, "    {:6.0}  {name}", took.as_secs_f64());
        }
        table
    }
}
