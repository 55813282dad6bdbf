//! `store`: commands on Chroma directories of this machine, no daemon and no configuration.

mod create;
mod flush;
mod info;
mod merge;
mod output_folder;
mod query;
mod repair;
mod salvage;
mod selection;
mod vacuum;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::CommandError;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show collections, counts, dimension, space, schema level, where vectors are, and problems; exits
    /// with 1 when it is not sound.
    Info(info::Info),
    /// Check a directory against Chroma's format; exits with 1 when it is not sound.
    Verify(verify::Verify),
    /// Merge deltas into a copy of a base directory.
    Merge(merge::Merge),
    /// Put the vectors that wait in the log into the index files.
    #[command(alias = "fold")]
    Flush(flush::Flush),
    /// Build the index files anew from all vectors; mends damaged links.
    Rebuild(flush::Rebuild),
    /// Say what is wrong with a directory and what would mend it; with --yes, mend it.
    Repair(repair::Repair),
    /// Vacuum the database: give its free pages back to the disk.
    Vacuum(vacuum::Vacuum),
    /// Find the records nearest to a record or a vector.
    Query(query::Query),
    /// Make an empty directory with one collection.
    Create(create::Create),
}

impl StoreCommand {
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Info(command) => command.json,
            Self::Verify(command) => command.json,
            Self::Merge(command) => command.json,
            Self::Flush(command) => command.place.json,
            Self::Rebuild(command) => command.place.json,
            Self::Repair(command) => command.json,
            Self::Vacuum(command) => command.json,
            Self::Query(command) => command.json,
            Self::Create(command) => command.json,
        }
    }

    pub(super) fn execute(self) -> Result<ExitCode, CommandError> {
        match self {
            Self::Info(command) => command.execute(),
            Self::Verify(command) => command.execute(),
            Self::Merge(command) => command.execute(),
            Self::Flush(command) => command.execute(),
            Self::Rebuild(command) => command.execute(),
            Self::Repair(command) => command.execute(),
            Self::Vacuum(command) => command.execute(),
            Self::Query(command) => command.execute(),
            Self::Create(command) => command.execute(),
        }
    }
}
