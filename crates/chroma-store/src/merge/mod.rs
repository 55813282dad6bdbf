//! Merges deltas into an open directory, with Chroma's semantics.
//!
//! A merge applies metadata and full text at once, in one transaction. Vectors go to the log
//! (`embeddings_queue`), and a flush moves them into the index files when it is due. Each delta is
//! applied whole or not at all, and one that fails does not hold up the others.

mod apply;
mod compatible;
mod report;

use std::path::Path;

use rusqlite::TransactionBehavior;

use crate::database::Database;
use crate::delta::Delta;
use crate::directory::Sound;
use crate::flush::{Flushing, IndexFrom, replacement, unnamed_folders};
use crate::wal::{Operation, WalReader};
use crate::{
    Collection, Engine, FlushOptions, FlushReport, FlushWhen, FullName, Open, Parameters, Store,
    StoreError, StoreResult, Which, connection, verify,
};

use apply::{Applied, AppliedDelta, Applier, Log};

pub use report::{AppliedAs, DeltaOutcome, Effects, MergeOptions, MergeReport, MetadataMode};

impl Store<Open> {
    /// Merges `deltas`, in order, into the collection that `which` names.
    ///
    /// A delta whose content is at fault is left out, and the report has its error. The other
    /// deltas are applied.
    ///
    /// # Errors
    /// Nothing was changed: the collection is missing here, another process has locked the
    /// directory, it is damaged, the machine failed, or the result does not have exactly the
    /// records that it must have (`NotConserved`).
    pub fn merge<'a, P: AsRef<Path>>(
        &mut self,
        which: impl Into<Which<'a>>,
        deltas: &[P],
        options: MergeOptions,
    ) -> StoreResult<MergeReport> {
        let name = &self.find(which)?.name.clone();
        let merged = self.with_files_or_log(name, IndexFrom::Files, |store, from| {
            store.apply_deltas(name, deltas, options, from)
        });
        merged.map(|done| MergeReport {
            collection: name.clone(),
            records_before: done.before,
            records_after: done.after,
            outcomes: outcomes(deltas, done.result),
            flushed: done.flushed,
            flush_deferred: done.flush_deferred,
        })
    }

    fn apply_deltas<P: AsRef<Path>>(
        &mut self,
        name: &FullName,
        deltas: &[P],
        options: MergeOptions,
        from: IndexFrom,
    ) -> StoreResult<Done<Vec<AppliedDelta>>> {
        // Most deltas are sound, and an undo log is as large as the change. So SQLite keeps one
        // only in a second try, after a delta has failed.
        let (mut must_undo, mut sound) = (false, self.take_sound());
        let longest = options.longest_value;
        let merged = self.transact(name, options, from, |applier, base, flushing| {
            apply_each(applier, flushing, deltas, |applier, dir| {
                applier.without_undo(&mut must_undo, |applier| {
                    apply_delta(applier, base, dir, longest, &mut sound)
                })
            })
        });
        let merged = match merged {
            Err(_) if must_undo => self.transact(name, options, from, |applier, base, flushing| {
                apply_each(applier, flushing, deltas, |applier, dir| {
                    applier.whole_or_nothing(|applier| {
                        apply_delta(applier, base, dir, longest, &mut sound)
                    })
                })
            }),
            merged => merged,
        };
        self.put_sound(sound);
        merged
    }

    /// Runs `work`. If index files are damaged, runs it again with another source that has all
    /// their vectors, if there is one.
    fn with_files_or_log<T>(
        &mut self,
        name: &FullName,
        from: IndexFrom,
        mut work: impl FnMut(&mut Self, IndexFrom) -> StoreResult<T>,
    ) -> StoreResult<T> {
        match work(self, from) {
            Err(error) if error.is_index_damage() => {
                match replacement(self.database(), self.find(name)?)? {
                    Some(other) => work(self, other),
                    None => Err(error),
                }
            }
            done => done,
        }
    }

    /// Moves the vectors of a collection from the log into its index files. Returns `None` if
    /// `options` say that no flush is due.
    ///
    /// # Errors
    /// As for [`Store::merge`]. Index files are damaged, and neither the log nor their remains have
    /// all vectors (`IndexFile`, `Truncated`).
    pub fn flush<'a>(
        &mut self,
        which: impl Into<Which<'a>>,
        options: FlushOptions,
    ) -> StoreResult<Option<FlushReport>> {
        let name = &self.find(which)?.name.clone();
        self.only_flush(name, options, IndexFrom::Files)
    }

    /// Rebuilds the index files of a collection from all its vectors, indexed or waiting in the
    /// log. It does not read links, so damaged links do no harm. Returns `None` for an empty
    /// collection.
    ///
    /// # Errors
    /// As for [`Store::flush`]; `engine` failed (`Engine`).
    pub fn rebuild<'a>(
        &mut self,
        which: impl Into<Which<'a>>,
        engine: Engine,
        options: FlushOptions,
    ) -> StoreResult<Option<FlushReport>> {
        let name = &self.find(which)?.name.clone();
        self.only_flush(name, options, IndexFrom::Vectors(engine))
    }

    fn only_flush(
        &mut self,
        name: &FullName,
        flush: FlushOptions,
        from: IndexFrom,
    ) -> StoreResult<Option<FlushReport>> {
        let options = MergeOptions {
            flush,
            ..MergeOptions::default()
        };
        self.with_files_or_log(name, from, |store, from| {
            store.transact(name, options, from, |_, _, _| Ok(()))
        })
        .map(|done| done.flushed)
    }

    /// Changes index parameters of a collection, and rebuilds its index files with them.
    ///
    /// # Errors
    /// As for [`Store::rebuild`]. The parameters may be changed by then, and the files not.
    pub fn set_parameters<'a>(
        &mut self,
        which: impl Into<Which<'a>>,
        parameters: Parameters,
    ) -> StoreResult<Option<FlushReport>> {
        let old = self.find(which)?.clone();
        self.in_transaction("write the parameters", |db| parameters.write(db, &old))?;
        self.reload(&old.name)?;
        let options = FlushOptions {
            when: FlushWhen::Always,
            ..FlushOptions::default()
        };
        self.only_flush(&old.name, options, IndexFrom::Space(old.config.space))
    }

    /// Applies `operations` to a collection as a chromadb client would, all or none. For producers
    /// and tests. Vectors stay in the log. So do operations without effect here, because they may
    /// have one in another directory.
    ///
    /// # Errors
    /// As for [`Store::merge`]. An operation is at fault.
    pub fn write<'a>(
        &mut self,
        which: impl Into<Which<'a>>,
        operations: impl IntoIterator<Item = Operation>,
    ) -> StoreResult<Effects> {
        let options = MergeOptions {
            flush: FlushOptions {
                when: FlushWhen::Never,
                ..FlushOptions::default()
            },
            ..MergeOptions::default()
        };
        let name = &self.find(which)?.name.clone();
        self.transact(name, options, IndexFrom::Files, |applier, _, _| {
            applier.log_ignored();
            operations
                .into_iter()
                .try_for_each(|operation| applier.apply(&operation, Log::Append))?;
            Ok(applier.take_effects().effects)
        })
        .map(|done| done.result)
    }

    /// Runs `work` in one transaction, and checks that the number of records is right (I7).
    fn transact<T>(
        &mut self,
        name: &FullName,
        options: MergeOptions,
        from: IndexFrom,
        work: impl FnOnce(&mut Applier<'_>, &Collection, &mut Flushing<'_>) -> StoreResult<T>,
    ) -> StoreResult<Done<T>> {
        self.removed()?;
        let dir = self.dir().to_path_buf();
        let path = connection::database_path(&dir);
        let base = self.find(name)?.clone();
        let level = self.level();
        let transaction = self
            .connection_mut()
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sqlite(&path, "begin the merge"))?;
        let db = Database {
            connection: &transaction,
            dir: &dir,
            level,
        };
        verify::progress_is_founded(db, &base)?;
        let mut applier = Applier::new(db, &base, options)?;
        let before = applier.count()?;
        catch_up(&mut applier, db, &base)?;
        applier.take_effects();
        let mut flushing = Flushing::new(db, &base, options.flush, from)?;
        let result = work(&mut applier, &base, &mut flushing)?;
        applier.finish()?;
        let after = applier.count()?;
        let expected = (before + applier.total().added).saturating_sub(applier.total().deleted);
        if after != expected {
            let collection = name.to_string();
            return Err(StoreError::NotConserved {
                collection,
                found: after,
                expected,
            });
        }
        flushing.advance(applier.dimension(), 0)?;
        drop(applier);
        let flush_deferred = flushing.is_deferred();
        let flushed = flushing.finish()?;
        transaction
            .commit()
            .map_err(StoreError::sqlite(&path, "commit the merge"))?;
        if flushed.is_some() {
            let unnamed = unnamed_folders(self.database())?;
            self.remove_meanwhile(unnamed)?;
        }
        self.reload(name)?;
        Ok(Done {
            result,
            before,
            after,
            flushed,
            flush_deferred,
        })
    }
}

/// What a transaction did to a collection.
struct Done<T> {
    result: T,
    /// Number of records before and after.
    before: u64,
    after: u64,
    flushed: Option<FlushReport>,
    flush_deferred: bool,
}

/// Passes the deltas to `apply`, in order, and lets the flush take in their rows.
fn apply_each<'c, P: AsRef<Path>>(
    applier: &mut Applier<'c>,
    flushing: &mut Flushing<'_>,
    deltas: &[P],
    mut apply: impl FnMut(&mut Applier<'c>, &Path) -> StoreResult<AppliedDelta>,
) -> StoreResult<Vec<AppliedDelta>> {
    (1..)
        .zip(deltas)
        .map(|(done, dir)| {
            let applied = apply(applier, dir.as_ref())?;
            flushing.advance(applier.dimension(), deltas.len() - done)?;
            Ok(applied)
        })
        .collect()
}

/// What each delta did, as seen at the end of the merge.
fn outcomes<P: AsRef<Path>>(deltas: &[P], results: Vec<AppliedDelta>) -> Vec<DeltaOutcome> {
    let applied: Vec<Option<&Applied>> = results
        .iter()
        .map(|result| result.as_ref().ok().map(|(_, applied)| applied))
        .collect();
    let effects: Vec<Option<Effects>> = applied
        .iter()
        .enumerate()
        .map(|(at, one)| {
            let later: Vec<&Applied> = applied[at + 1..].iter().copied().flatten().collect();
            one.map(|one| one.outlived_by(&later))
        })
        .collect();
    deltas
        .iter()
        .zip(results)
        .zip(effects)
        .map(|((dir, result), effects)| DeltaOutcome {
            dir: dir.as_ref().to_path_buf(),
            other_space: result.as_ref().ok().and_then(|(_, one)| one.other_space),
            result: result.map(|(applied_as, _)| (applied_as, effects.unwrap_or_default())),
        })
        .collect()
}

/// Applies log rows that the metadata segment does not contain, because their writer died in
/// between. Afterwards its progress may move past them.
fn catch_up(applier: &mut Applier<'_>, db: Database<'_>, base: &Collection) -> StoreResult<()> {
    let applied = base.metadata_seq.unwrap_or(0);
    WalReader::new(db, base).for_each(applied, u64::MAX, |row| {
        let seq = u64::try_from(row.seq).unwrap_or(0);
        applier.apply(&row.operation, Log::Already(seq))
    })
}

fn apply_delta(
    applier: &mut Applier<'_>,
    base: &Collection,
    dir: &Path,
    longest_value: Option<u32>,
    sound: &mut Sound,
) -> StoreResult<AppliedAs> {
    let delta = Delta::open(dir, &base.name, longest_value, sound)?;
    let collection = delta.collection();
    compatible::check(applier.dimension(), base, collection)?;
    let space = collection.config.space;
    applier.other_space = (space != base.config.space).then_some(space);
    if delta.is_operation_log(collection)? {
        delta.replay(collection, |operation| {
            applier.apply(operation, Log::Append)
        })?;
        Ok(AppliedAs::OperationLog)
    } else {
        delta.state(collection, |operation| {
            applier.apply(operation, Log::Append)
        })?;
        Ok(AppliedAs::State)
    }
}
