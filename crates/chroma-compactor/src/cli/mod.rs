//! The command line: one module for each command. A command parses its arguments, calls the libraries and
//! renders the result. `store repair` and `doctor` also decide what to do.

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

/// Says which build it is: without the feature `aws` the same version can do less.
const VERSION: &str = if cfg!(feature = "aws") {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (without the adapters for AWS)")
};

/// Merge Chroma deltas into published snapshots.
///
/// Producers write deltas, which are small Chroma directories, and submit them as runs. The daemon takes runs
/// from a queue, merges their deltas into a copy of each collection's published snapshot, verifies the copy,
/// and publishes it as a new version.
#[derive(Debug, Parser)]
#[command(name = "chroma-compactor", version = VERSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything once on this machine, with sample data and without a cloud account.
    ///
    /// Makes sample deltas, submits and merges them, and downloads the published snapshots as a reader would.
    /// Writes nothing outside of --dir.
    Quickstart(quickstart::Quickstart),
    /// Run the daemon: take runs from the queue, merge their deltas, and publish new versions.
    ///
    /// Leaves deltas and published versions as they are: it uploads a new version and then moves the
    /// collection's pointer to it. It deletes superseded versions as the [retention] settings say. SIGTERM or
    /// Ctrl-C lets it finish or give back what it holds; a second Ctrl-C makes it end sooner.
    Run(run::Run),
    /// Pack deltas, upload them, and put a run for them on the queue.
    ///
    /// Verifies every delta before it uploads the first. Only reads the directories; close every client that
    /// has one of them open.
    Submit(submit::Submit),
    /// List runs and their states, or announce runs again: send new messages for them.
    ///
    /// Without a subcommand it only reads the run records.
    Runs(runs::Runs),
    /// List the superseded versions that are due to be deleted; with --yes, delete them.
    ///
    /// Never deletes the published version of a collection, or a version newer than that.
    CleanUp(clean_up::Clean),
    /// Put back a collection's pointer, or accept the version of another writer.
    #[command(subcommand)]
    Snapshots(snapshots::SnapshotsCommand),
    /// Check that everything a daemon needs works, and say how to fix what does not.
    ///
    /// Writes, locks and deletes under names that no daemon uses, and leaves runs, messages and snapshots
    /// unchanged. It leaves one thing behind: the fence counter of a collection called `doctor`. It makes the
    /// data directory of the local backend if there is none. Exits with 1 if a daemon could not work.
    Doctor(doctor::Doctor),
    /// Check the settings, or print them and where each comes from.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Inspect, merge and repair Chroma directories on this machine.
    ///
    /// These commands need no daemon, no queue and no configuration.
    #[command(subcommand)]
    Store(store::StoreCommand),
}

impl Cli {
    /// Whether the user asked for JSON. Errors are then written as JSON, too.
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

    /// Runs the command, and returns the exit status of a command that could do its work.
    ///
    /// # Errors
    /// The command could not do its work; the error has its own exit status.
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
