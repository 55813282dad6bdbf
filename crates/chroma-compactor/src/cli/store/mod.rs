//! `store`: commands on Chroma directories of this machine. They need no daemon and no configuration.

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
    /// Print what a directory holds, how good its graphs are, and what is wrong with it.
    ///
    /// Prints collections with their record counts, dimension, space, schema level, and how many vectors are
    /// in the index files or wait in the log. Changes nothing. Exits with 1 if the directory is not sound.
    Info(info::Info),
    /// Check that a directory is sound: that its content has Chroma's format and is consistent.
    ///
    /// Changes nothing. Exits with 1 if the directory is not sound.
    Verify(verify::Verify),
    /// Merge deltas into a copy of a base directory.
    ///
    /// Leaves the base and the deltas unchanged. The new directory appears only when it is complete and
    /// verified; a failed or interrupted command leaves nothing behind.
    Merge(merge::Merge),
    /// Flush a directory: move the vectors that wait in Chroma's log into the index files.
    ///
    /// Changes the directory in place, but no record. After an interruption, run it again. Close every client
    /// that has the directory open first.
    #[command(alias = "fold")]
    Flush(flush::Flush),
    /// Rebuild the index files of a directory from all its vectors.
    ///
    /// This repairs damaged links and takes deleted elements out of the graphs. Changes the directory in place,
    /// but no record. After an interruption, run it again. Close every client that has the directory open first.
    Rebuild(flush::Rebuild),
    /// Say what is wrong with a directory, and how to repair it; with --yes, repair it.
    ///
    /// Repairs a copy, verifies it, and puts it in the directory's place. Keeps the original as
    /// DIR.before-repair. Without --yes nothing changes, and the exit status is 1 if there is something to do.
    Repair(repair::Repair),
    /// Vacuum the database of a directory: give its free pages back to the disk.
    ///
    /// Changes the database file in place, but no record. Close every client that has the directory open
    /// first.
    Vacuum(vacuum::Vacuum),
    /// Find the records of a collection that are nearest to a record or a vector.
    ///
    /// Changes nothing.
    Query(query::Query),
    /// Make a new Chroma directory with one empty collection.
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
