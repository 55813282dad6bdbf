//! The command line.

mod clean_up;
mod config;
mod doctor;
mod emf;
mod interrupt;
mod logging;
mod quickstart;
mod run;
mod runs;
mod runtime;
mod signals;
mod snapshots;
mod store;
mod submit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::CommandError;

/// Two builds of a version differ in what they can do.
const VERSION: &str = if cfg!(feature = "aws") {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (without the adapters for AWS)")
};

/// Merges Chroma deltas into published snapshots.
#[derive(Debug, Parser)]
#[command(name = "chroma-compactor", version = VERSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make sample deltas, merge them, and show the snapshot: a first look, no cloud needed.
    Quickstart(quickstart::Quickstart),
    /// Run the daemon: take runs from the queue and publish snapshots.
    Run(run::Run),
    /// Package deltas, upload them, and enqueue the run.
    Submit(submit::Submit),
    /// Show what became of runs.
    Runs(runs::Runs),
    /// Show which superseded versions are due to be deleted, or delete them.
    CleanUp(clean_up::Clean),
    /// See to published versions.
    #[command(subcommand)]
    Snapshots(snapshots::SnapshotsCommand),
    /// Check that everything a daemon needs works, and say how to mend it.
    Doctor(doctor::Doctor),
    /// Check the settings, or show them.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Work on Chroma directories on this machine.
    #[command(subcommand)]
    Store(store::StoreCommand),
}

impl Cli {
    /// Whether results, and so errors as well, are wanted as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            Command::Quickstart(command) => command.json,
            Command::Run(command) => command.json,
            Command::Submit(command) => command.json,
            Command::Runs(command) => command.wants_json(),
            Command::CleanUp(command) => command.json,
            Command::Snapshots(command) => command.wants_json(),
            Command::Doctor(command) => command.json,
            Command::Config(command) => command.wants_json(),
            Command::Store(command) => command.wants_json(),
        }
    }

    pub(crate) fn run(self) -> Result<ExitCode, CommandError> {
        match self.command {
            Command::Quickstart(command) => command.execute(),
            Command::Run(command) => command.execute(),
            Command::Submit(command) => command.execute(),
            Command::Runs(command) => command.execute(),
            Command::CleanUp(command) => command.execute(),
            Command::Snapshots(command) => command.execute(),
            Command::Doctor(command) => command.execute(),
            Command::Config(command) => command.execute(),
            Command::Store(command) => command.execute(),
        }
    }
}
