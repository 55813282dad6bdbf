//! `cargo xtask`: the project's chores. `cargo xtask help` lists them.
#![expect(clippy::print_stderr, reason = "a tool for terminals")]

mod bench;
mod command;
mod crash;
mod deny;
mod deploy;
mod emulator;
mod faults;
mod fuzz;
mod guards;
mod layers;
mod localstack;
mod phases;
mod python;
mod runner;
mod soak;
mod sweep;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run the project's chores: checks, tests that take long, and benchmarks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all checks that a change must pass: format, layers, dependencies, lints, tests and doc tests.
    /// Installs what they need into .venvs.
    Test,
    /// Install the pinned chromadb versions and the emulator into .venvs.
    Venvs,
    /// Lint the files that deployments are made from: Dockerfile, compose file and deploy/. `test` does it,
    /// too.
    DeployLint,
    /// Check licences, sources and duplicates of dependencies. `test` does it, too.
    Deny {
        /// Check for security advisories as well. Downloads RustSec's database.
        #[arg(long)]
        advisories: bool,
    },
    /// Check that no modules form a circle, and that crates depend on each other only as ARCHITECTURE.md
    /// draws it. `test` does it, too.
    Layers,
    /// Run all tests for AWS against LocalStack. `test` runs only those whose outcome depends on the emulator.
    Localstack,
    /// Run a benchmark that measures this program and others in the same run.
    Bench {
        /// What to measure.
        #[arg(value_enum, default_value_t = bench::Subject::Merge)]
        subject: bench::Subject,
    },
    /// Kill daemons at random moments, over the local backend and over the emulator, and check what readers
    /// see.
    Crash {
        /// How many kills, over both backends together.
        #[arg(long, default_value_t = 200)]
        kills: u64,
    },
    /// Remove guards from a copy of the code, one at a time, and check that a test fails without each.
    Guards {
        /// Only the guards of this invariant, such as I3. Default: all.
        invariant: Option<String>,
    },
    /// Keep one daemon under a mixed load, and print the resources that it uses.
    Soak {
        /// How long the load lasts, in minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Merge deltas of all sizes, check the results with chromadb, and print a table.
    Sweep,
    /// Answer daemons with every fault of every service, through a proxy before the emulator. No run may end
    /// as a dead letter.
    Faults,
    /// Fuzz the code that reads untrusted bytes. Needs cargo-fuzz.
    Fuzz {
        /// Only this target of fuzz/fuzz_targets. Default: all.
        target: Option<String>,
        /// How long each target runs, in minutes.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test => test::run(),
        Task::Venvs => python::install(),
        Task::DeployLint => deploy::lint(),
        Task::Deny { advisories } => deny::check(advisories),
        Task::Layers => layers::check(),
        Task::Localstack => localstack::test(),
        Task::Bench { subject } => bench::run(subject),
        Task::Crash { kills } => crash::run(kills),
        Task::Guards { invariant } => guards::run(invariant.as_deref()),
        Task::Soak { minutes } => soak::run(minutes),
        Task::Sweep => sweep::run(),
        Task::Faults => faults::run(),
        Task::Fuzz { target, minutes } => fuzz::run(target.as_deref(), minutes),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
