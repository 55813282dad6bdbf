//! `cargo xtask`: the project's chores. Run `cargo xtask help`.
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
    /// Install the pinned chromadb versions and the emulator into .venvs.
    Venvs,
    /// Check what deployments are made from; `test` does so too.
    DeployLint,
    /// Check licences, sources and duplicates of dependencies; `test` does so too.
    Deny {
        /// Ask RustSec's database of advisories as well, which is downloaded.
        #[arg(long)]
        advisories: bool,
    },
    /// Check that modules form no circle, and that crates depend on each other as they may; `test` does so
    /// too.
    Layers,
    /// Run all tests for AWS against LocalStack; `test` runs those that depend on the emulator.
    Localstack,
    /// Measure against others in the same run.
    Bench {
        /// What to measure.
        #[arg(value_enum, default_value_t = bench::Subject::Merge)]
        subject: bench::Subject,
    },
    /// Kill the daemon again and again at random moments, over the local backend and the emulator.
    Crash {
        /// How often, over both.
        #[arg(long, default_value_t = 200)]
        kills: u64,
    },
    /// Take guards away, one at a time, in a copy: tests must notice.
    Guards {
        /// Only those of this invariant, such as `I3`.
        invariant: Option<String>,
    },
    /// Keep one daemon under a mixed load, and show what it takes of the machine.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Merge deltas of all sizes, with chromadb as the judge; prints a table.
    Sweep,
    /// Answer daemons over the emulator with every fault of every service: no run may be buried.
    Faults,
    /// Feed bytes to what reads other people's bytes. Needs cargo-fuzz.
    Fuzz {
        /// Only this target of `fuzz/fuzz_targets`.
        target: Option<String>,
        /// How long each.
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
