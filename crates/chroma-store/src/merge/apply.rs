//! Applies operations to a collection, one after the other.

use std::collections::HashSet;

use super::{AppliedAs, Effects, MergeOptions, MetadataMode};
use crate::database::Database;
use crate::records::{DOCUMENT_KEY, SegmentWriter, URI_KEY};
use crate::wal::{Operation, OperationKind, Patch, WalWriter, check_vector};
use crate::{Collection, Kind, Space, StoreError, StoreResult};

/// Whether the log has an operation already.
#[derive(Debug, Clone, Copy)]
pub(super) enum Log {
    /// No: append it.
    Append,
    /// Yes, with this sequence number.
    Already(u64),
}

/// What a delta did, or the error for which it was left out.
pub(super) type AppliedDelta = StoreResult<(AppliedAs, Applied)>;

/// How far a transaction has come: every write changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The sequence number of the last row of the log.
    last: u64,
    /// The rowid of the next new record.
    next_row: i64,
    dimension: Option<u32>,
    progress: Option<u64>,
}

/// What one delta did, with the rows of the records that it changed.
pub(super) struct Applied {
    pub(super) effects: Effects,
    /// The delta's space, if it differs from the base's.
    pub(super) other_space: Option<Space>,
    touched: HashSet<i64>,
    removed: HashSet<i64>,
}

impl Applied {
    /// The effects of this delta, without records that later deltas of the same merge removed. A
    /// merge never uses a row twice, so a row tells a record from a later one with the same id.
    pub(super) fn outlived_by(&self, later: &[&Self]) -> Effects {
        let gone = |row: &&i64| later.iter().any(|delta| delta.removed.contains(*row));
        let lost = self.touched.iter().filter(gone).count() as u64;
        Effects {
            merged: self.effects.merged - lost,
            ..self.effects
        }
    }
}

/// Applies operations to one collection inside the caller's transaction.
pub(super) struct Applier<'c> {
    db: Database<'c>,
    collection: String,
    collection_id: String,
    dimension: Option<u32>,
    options: MergeOptions,
    segment: SegmentWriter<'c>,
    wal: WalWriter<'c>,
    progress: Option<u64>,
    effects: Effects,
    /// The current delta's space, if it differs from the base's.
    pub(super) other_space: Option<Space>,
    /// Rows that the current delta wrote.
    touched: HashSet<i64>,
    /// Rows that the current delta removed.
    removed: HashSet<i64>,
    total: Effects,
    /// Appends operations without effect to the log too, as chromadb does.
    logs_ignored: bool,
}

impl<'c> Applier<'c> {
    pub(super) fn new(
        db: Database<'c>,
        base: &Collection,
        options: MergeOptions,
    ) -> StoreResult<Self> {
        Ok(Self {
            db,
            collection: base.name.to_string(),
            collection_id: base.id.to_string(),
            dimension: base.dimension,
            options,
            segment: SegmentWriter::new(db, base)?,
            wal: WalWriter::new(db, base)?,
            progress: None,
            effects: Effects::default(),
            other_space: None,
            touched: HashSet::new(),
            removed: HashSet::new(),
            total: Effects::default(),
            logs_ignored: false,
        })
    }

    /// From now on, appends operations without effect to the log too.
    pub(super) fn log_ignored(&mut self) {
        self.logs_ignored = true;
    }

    pub(super) fn dimension(&self) -> Option<u32> {
        self.dimension
    }

    pub(super) fn count(&self) -> StoreResult<u64> {
        self.segment.count()
    }

    /// Takes the effects since the last call.
    pub(super) fn take_effects(&mut self) -> Applied {
        let (touched, removed) = (
            std::mem::take(&mut self.touched),
            std::mem::take(&mut self.removed),
        );
        let mut effects = std::mem::take(&mut self.effects);
        effects.merged = touched.len() as u64;
        self.total = self.total.plus(effects);
        Applied {
            effects,
            other_space: self.other_space.take(),
            touched,
            removed,
        }
    }

    /// Effects of all deltas that were kept.
    pub(super) fn total(&self) -> Effects {
        self.total
    }

    /// Writes the full text, and how far the segment has come.
    pub(super) fn finish(&mut self) -> StoreResult<()> {
        self.segment.write_full_text()?;
        let Some(seq) = self.progress else {
            return Ok(());
        };
        self.segment.set_progress(seq)
    }

    /// Applies one delta. If the delta is at fault, undoes it and returns the inner error.
    ///
    /// # Errors
    /// The outer error is not the delta's fault: the machine's, or SQLite gave the whole
    /// transaction up.
    pub(super) fn whole_or_nothing(
        &mut self,
        apply: impl FnOnce(&mut Self) -> StoreResult<AppliedAs>,
    ) -> StoreResult<AppliedDelta> {
        let before = self.mark();
        self.run("SAVEPOINT delta")?;
        match apply(self) {
            Ok(applied_as) => {
                self.run("RELEASE delta")?;
                Ok(Ok((applied_as, self.take_effects())))
            }
            Err(error) if !self.can_undo(&error) => Err(error),
            Err(error) => {
                self.run("ROLLBACK TO delta; RELEASE delta")?;
                self.rewind(before);
                Ok(Err(error))
            }
        }
    }

    /// As [`Applier::whole_or_nothing`], but SQLite keeps no undo log of the delta.
    ///
    /// # Errors
    /// If the delta fails after a write, that is the outer error and `must_undo` is set: the caller
    /// has to roll the transaction back and repeat it.
    pub(super) fn without_undo(
        &mut self,
        must_undo: &mut bool,
        apply: impl FnOnce(&mut Self) -> StoreResult<AppliedAs>,
    ) -> StoreResult<AppliedDelta> {
        let before = self.mark();
        match apply(self) {
            Ok(applied_as) => Ok(Ok((applied_as, self.take_effects()))),
            Err(error) if !self.can_undo(&error) => Err(error),
            Err(error) if self.mark() == before => {
                self.rewind(before);
                Ok(Err(error))
            }
            Err(error) => {
                *must_undo = true;
                Err(error)
            }
        }
    }

    /// Marks the current place: every write moves it.
    fn mark(&self) -> Mark {
        Mark {
            last: self.wal.last(),
            next_row: self.segment.next_row(),
            dimension: self.dimension,
            progress: self.progress,
        }
    }

    /// Resets this object to the mark, after SQLite has rolled back.
    fn rewind(&mut self, to: Mark) {
        self.wal.rewind(to.last);
        self.segment.set_next_row(to.next_row);
        self.dimension = to.dimension;
        self.progress = to.progress;
        self.effects = Effects::default();
        self.other_space = None;
        self.touched.clear();
        self.removed.clear();
    }

    /// Whether the error is the delta's own. It is not if the machine is at fault or SQLite gave
    /// the whole transaction up.
    fn can_undo(&self, error: &StoreError) -> bool {
        error.kind() != Kind::Environment && !self.db.connection.is_autocommit()
    }

    pub(super) fn apply(&mut self, operation: &Operation, log: Log) -> StoreResult<()> {
        if let Some(vector) = &operation.vector {
            self.accept_vector(&operation.id, vector)?;
        }
        let found = self.segment.find(&operation.id)?;
        if let Log::Already(seq) = log {
            self.progress = Some(seq);
        }
        match (operation.kind, found) {
            (OperationKind::Add, Some(_))
            | (OperationKind::Update | OperationKind::Delete, None) => {
                self.effects.ignored += 1;
                match log {
                    Log::Append if self.logs_ignored => {
                        self.log(operation, &operation.patch, log).map(drop)
                    }
                    _ => Ok(()),
                }
            }
            (OperationKind::Add | OperationKind::Upsert, None) => self.insert(operation, log),
            (OperationKind::Update | OperationKind::Upsert, Some(row)) => {
                self.merge_into(row, operation, log)
            }
            (OperationKind::Delete, Some(row)) => self.delete(row, operation, log),
        }
    }

    fn insert(&mut self, operation: &Operation, log: Log) -> StoreResult<()> {
        if operation.vector.is_none() {
            let (collection, id) = (self.collection.clone(), operation.id.clone());
            return Err(StoreError::MissingVector { collection, id });
        }
        let seq = self.log(operation, &operation.patch, log)?;
        let row = self.segment.insert(&operation.id, seq)?;
        for (key, value) in &operation.patch {
            if let Some(value) = value {
                self.segment.set((&operation.id, row, true), key, value)?;
            }
        }
        self.effects.added += 1;
        self.touched.insert(row);
        Ok(())
    }

    fn merge_into(&mut self, row: i64, operation: &Operation, log: Log) -> StoreResult<()> {
        let replaced = self.replaced_keys(row, operation)?;
        let patch: Patch = operation.patch.iter().cloned().chain(replaced).collect();
        let seq = self.log(operation, &patch, log)?;
        self.segment.touch(row, seq)?;
        for (key, value) in &patch {
            match value {
                Some(value) => self.segment.set((&operation.id, row, false), key, value)?,
                None => self.segment.unset(row, key)?,
            }
        }
        self.effects.updated += 1;
        self.touched.insert(row);
        Ok(())
    }

    fn delete(&mut self, row: i64, operation: &Operation, log: Log) -> StoreResult<()> {
        self.log(operation, &operation.patch, log)?;
        self.segment.remove(row)?;
        self.effects.deleted += 1;
        self.touched.remove(&row);
        self.removed.insert(row);
        Ok(())
    }

    /// Deletions of the keys that replaced metadata does not name, as a patch for the log.
    fn replaced_keys(&self, row: i64, operation: &Operation) -> StoreResult<Patch> {
        let replaces = self.options.metadata == MetadataMode::Replace
            && operation.kind == OperationKind::Upsert;
        if !replaces {
            return Ok(Patch::new());
        }
        let given: HashSet<&str> = operation
            .patch
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        let keys = self.segment.keys(row)?;
        Ok(keys
            .into_iter()
            .filter(|key| key != DOCUMENT_KEY && key != URI_KEY && !given.contains(key.as_str()))
            .map(|key| (key, None))
            .collect())
    }

    fn log(&mut self, operation: &Operation, patch: &Patch, log: Log) -> StoreResult<u64> {
        let seq = match log {
            Log::Append => self.wal.append(operation, patch)?,
            Log::Already(seq) => seq,
        };
        self.progress = Some(seq);
        Ok(seq)
    }

    /// Checks a vector. The first vector of a collection sets its dimension.
    fn accept_vector(&mut self, id: &str, vector: &[u8]) -> StoreResult<()> {
        let expected = self.dimension.map(|dimension| dimension as usize * 4);
        check_vector(&self.collection, id, vector, expected)?;
        if self.dimension.is_none() {
            let dimension = u32::try_from(vector.len() / 4).unwrap_or(u32::MAX);
            self.db
                .connection
                .execute(
                    "UPDATE collections SET dimension = ?2 WHERE id = ?1",
                    rusqlite::params![self.collection_id, dimension],
                )
                .map_err(self.db.failed("set the dimension"))?;
            self.dimension = Some(dimension);
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> StoreResult<()> {
        self.db
            .connection
            .execute_batch(sql)
            .map_err(self.db.failed("mark a delta"))
    }
}
