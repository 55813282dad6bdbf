//! A delta: a Chroma directory that is read as a stream of operations, and never written to.

mod history;
mod own_ids;
mod state;

use std::path::Path;

use self::own_ids::OwnIds;
use crate::collection::{collection_names, load_one, refuse_large_configurations};
use crate::database::{Database, OpenDatabase};
use crate::directory::Sound;
use crate::wal::{Operation, WalReader};
use crate::{Collection, FullName, StoreError, StoreResult, Which, connection, verify};

/// A collection of a delta, open for reading.
#[derive(Debug)]
pub(crate) struct Delta {
    db: OpenDatabase,
    collection: Collection,
}

/// Reads all records of a delta's collection as a merge would.
///
/// # Errors
/// A record has more than `longest_value` bytes (`RecordTooLarge`); the delta cannot be read, or
/// lacks the collection.
pub fn refuse_long_records<'a>(
    dir: &Path,
    which: impl Into<Which<'a>>,
    longest_value: u32,
) -> StoreResult<()> {
    let all = collection_names(dir)?;
    let which: Which<'_> = which.into();
    let name = which.among(&all, dir)?;
    let delta = Delta::open(dir, name, Some(longest_value), &mut Sound::default())?;
    let collection = delta.collection();
    match delta.is_operation_log(collection)? {
        true => delta.replay(collection, |_| Ok(())),
        false => delta.state(collection, |_| Ok(())),
    }
}

impl Delta {
    /// Opens the directory `dir` for reading. SQLite checks it, unless `sound` says that it did
    /// before. The collection has exactly the full name `name`. SQLite refuses rows and values of
    /// more than `longest_value` bytes.
    ///
    /// # Errors
    /// The directory is damaged, has no such collection, or has too large a configuration.
    pub(crate) fn open(
        dir: &Path,
        name: &FullName,
        longest_value: Option<u32>,
        sound: &mut Sound,
    ) -> StoreResult<Self> {
        let connection = connection::open_delta(dir, longest_value)?;
        let path = connection::database_path(dir);
        // All reads see one state, even if another process writes.
        connection
            .execute_batch("BEGIN")
            .map_err(StoreError::sqlite(&path, "begin reading"))?;
        sound.check(&path, || verify::records_are_sound(&connection, &path))?;
        let db = OpenDatabase::of(connection, dir)?;
        refuse_large_configurations(db.get())?;
        let collection = load_one(db.get(), name.into())?;
        Ok(Self { db, collection })
    }

    fn database(&self) -> Database<'_> {
        self.db.get()
    }

    pub(crate) fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Whether the log of the collection is whole, so that a merge can replay it.
    pub(crate) fn is_operation_log(&self, collection: &Collection) -> StoreResult<bool> {
        history::is_complete(self.database(), collection)
    }

    /// Passes the operations of the log to `visit`, in order. [`OwnIds`] decides what an add means.
    pub(crate) fn replay(
        &self,
        collection: &Collection,
        mut visit: impl FnMut(&Operation) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let mut own = OwnIds::default();
        self.wal(collection)
            .for_each(0, u64::MAX, |row| visit(&own.for_base(row.operation)))
    }

    /// Passes every live record to `visit` as an upsert, in the order of insertion. Then passes the
    /// operations of the log that the metadata segment does not contain yet.
    pub(crate) fn state(
        &self,
        collection: &Collection,
        mut visit: impl FnMut(&Operation) -> StoreResult<()>,
    ) -> StoreResult<()> {
        verify::progress_of_a_delta_is_founded(self.database(), collection)?;
        let mut own = OwnIds::default();
        state::for_each(self, collection, &mut |operation: &Operation| {
            own.insert(&operation.id);
            visit(operation)
        })?;
        let applied = collection.metadata_seq.unwrap_or(0);
        self.wal(collection)
            .for_each(applied, u64::MAX, |row| visit(&own.for_base(row.operation)))
    }

    fn wal(&self, collection: &Collection) -> WalReader<'_> {
        WalReader::new(self.database(), collection)
    }
}
