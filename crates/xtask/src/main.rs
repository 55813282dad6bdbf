//! `cargo xtask`: the project's chores. Run `cargo xtask help`.
#![expect(clippy::print_stderr, reason = "a tool for terminals")]

mod bench;
mod command;
mod python;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Pass all checks: format, lints, tests, doc tests. Installs what they need into .venvs.
    Test,
    /// Install the pinned chromadb versions into .venvs.
    Venvs,
    /// Measure a merge against chromadb in the same run.
    Bench,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test => test::run(),
        Task::Venvs => python::install().map(drop),
        Task::Bench => bench::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
