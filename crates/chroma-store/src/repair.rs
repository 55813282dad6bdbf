//! Mends what SQLite finds wrong in an open directory, from what else is in it.

use rusqlite::TransactionBehavior;

use crate::metadata::rebuild_full_text;
use crate::{Open, Store, StoreError, StoreResult, connection};

impl Store<Open> {
    /// Makes table and index of the full text anew, from the documents of all records.
    ///
    /// # Errors
    /// The directory is locked, or the documents cannot be read.
    pub fn rebuild_full_text(&mut self) -> StoreResult<()> {
        let path = connection::database_path(self.dir());
        let mut rebuild = || -> rusqlite::Result<()> {
            let connection = self.connection_mut();
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            rebuild_full_text(&transaction)?;
            transaction.commit()
        };
        rebuild().map_err(StoreError::sqlite(&path, "rebuild the full text"))
    }

    /// Makes SQLite's own indexes anew, from the rows of their tables.
    ///
    /// # Errors
    /// The directory is locked, or the rows cannot be read.
    pub fn reindex(&mut self) -> StoreResult<()> {
        let path = connection::database_path(self.dir());
        self.connection_mut()
            .execute_batch("REINDEX")
            .map_err(StoreError::sqlite(&path, "make the indexes anew"))
    }
}
