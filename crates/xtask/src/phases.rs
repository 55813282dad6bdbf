//! How long each phase of the checks takes, and what they could not check here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command::{TaskError, root};

/// Tests append a line to the file that this names when a machine keeps them from a check.
pub(crate) const NOT_RUN: &str = "CHROMA_NOT_RUN";

/// Where the tests write down what they did not run.
pub(crate) fn not_run_file() -> PathBuf {
    root().join("target/not-run.txt")
}

/// Performs a command that runs tests, and says at its end what was not run.
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

/// Says that something is not run, now and at the end.
pub(crate) fn not_run_here(what: &str) -> Result<(), TaskError> {
    let line = format!("NOT RUN: {what}");
    eprintln!("==> {line}");
    let mut file = fs_err::OpenOptions::new()
        .append(true)
        .open(not_run_file())?;
    Ok(writeln!(file, "{line}")?)
}

/// What was not run, each thing once.
fn not_run() -> BTreeSet<String> {
    let lines = fs_err::read_to_string(not_run_file()).unwrap_or_default();
    lines.lines().map(str::to_owned).collect()
}

/// The phases so far.
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
    reason = "it is real time that people wait"
)]
impl Phases {
    /// The clock runs from here.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Performs a phase and takes its time.
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

    /// A line per phase, then the whole.
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
