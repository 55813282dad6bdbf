//! Flushes vectors from the log into the index files.
//!
//! The new files go into a folder of their own, under a new segment id. They are on disk before the
//! transaction that names the id commits. So the directory is the old one before the commit and the
//! new one after it, and no crash leaves a mixture.

mod indexer;
mod install;
mod options;
mod records;

use std::collections::HashSet;

use crate::database::Database;
use crate::index::{self, IndexFiles, MemoryIndex, segment_dir};
use crate::wal::{Overlay, WalReader, log_is_whole, purge_below, purges};
use crate::{Collection, StoreResult};

use indexer::{Indexer, Start};

pub(crate) use install::unnamed_folders;
pub(crate) use options::IndexFrom;
pub use options::{Engine, FlushOptions, FlushReport, FlushWhen};

/// Finds a source that has all vectors of damaged index files; `None` if there is no such source.
pub(crate) fn replacement(
    db: Database<'_>,
    collection: &Collection,
) -> StoreResult<Option<IndexFrom>> {
    if log_is_whole(db, collection)? {
        return Ok(Some(IndexFrom::Log));
    }
    match IndexFiles::of_remains(db.dir, collection) {
        Ok(left) => Ok(left.map(|_| IndexFrom::Remains)),
        Err(error) if error.is_index_damage() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A flush in the caller's transaction. It takes log rows in as they come, and writes files at the
/// end.
pub(crate) struct Flushing<'c> {
    db: Database<'c>,
    collection: Collection,
    options: FlushOptions,
    from: IndexFrom,
    /// The last row that the index files contain.
    indexed: u64,
    /// The database names files that do not exist: the log has to replace them.
    files_are_lost: bool,
    purges: bool,
    /// How many rows waited at the start.
    waited: u64,
    /// How often the caller called [`Flushing::advance`].
    calls: u64,
    deferred: bool,
    begun: Option<Begun>,
}

/// What the flush has taken in so far.
struct Begun {
    indexer: Indexer,
    /// Ids that have a vector.
    known: HashSet<String>,
    /// The last row that the flush took in.
    seq: u64,
}

impl<'c> Flushing<'c> {
    pub(crate) fn new(
        db: Database<'c>,
        collection: &Collection,
        options: FlushOptions,
        from: IndexFrom,
    ) -> StoreResult<Self> {
        let wal = WalReader::new(db, collection);
        let progress = collection.vector_seq.unwrap_or(0);
        let has_files = index::is_written(db.dir, collection);
        let indexed = if has_files { progress } else { 0 };
        // Counting reads every waiting row.
        let waited = match options.when {
            FlushWhen::Due => wal.count_after(indexed)?,
            FlushWhen::Always | FlushWhen::Never => 0,
        };
        Ok(Self {
            db,
            collection: collection.clone(),
            options,
            from,
            indexed,
            files_are_lost: !has_files && progress > 0,
            purges: purges(db)?,
            waited,
            calls: 0,
            deferred: false,
            begun: None,
        })
    }

    /// Takes the waiting rows in, if a flush is due. Later rows can use their space in the log, so
    /// a large merge does not leave a large file.
    ///
    /// `dimension` is the collection's current one. A flush is due early if it will be due after
    /// `left` more calls that each find as many rows as those before.
    pub(crate) fn advance(&mut self, dimension: Option<u32>, left: usize) -> StoreResult<()> {
        self.collection.dimension = dimension;
        self.calls += 1;
        let last = WalReader::new(self.db, &self.collection).last()?;
        // A collection without a dimension has never had a record.
        let (Some(last), Some(dimension)) = (last, dimension) else {
            return Ok(());
        };
        if self.begun.is_none() {
            let Some(waiting) = self.due(left)? else {
                return Ok(());
            };
            self.begun = Some(self.begin(dimension, waiting)?);
        }
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        let wal = WalReader::new(self.db, &self.collection);
        let mut changes = Overlay::default();
        wal.for_each_vector(begun.seq, last, |_, kind, id, vector| {
            changes.apply(kind, id, vector, |id| begun.known.contains(id));
            Ok(())
        })?;
        let batch: indexer::Batch = changes.into_changes().collect();
        for (id, vector) in &batch {
            if vector.is_none() {
                begun.known.remove(id);
            } else if !begun.known.contains(id) {
                begun.known.insert(id.clone());
            }
        }
        begun.indexer.put(batch)?;
        begun.seq = last.max(begun.seq);
        if self.purges {
            purge_below(self.db, &self.collection, last)?;
        }
        Ok(())
    }

    /// How many rows wait, if a flush is due or will be.
    fn due(&mut self, left: usize) -> StoreResult<Option<usize>> {
        let must = self.from != IndexFrom::Files;
        if self.options.when == FlushWhen::Never && !must {
            return Ok(None);
        }
        let wal = WalReader::new(self.db, &self.collection);
        let waiting = wal.count_after(self.indexed)?;
        let due = match self.options.when {
            _ if must => true,
            FlushWhen::Due if self.files_are_lost => waiting > 0,
            FlushWhen::Never => false,
            FlushWhen::Always => waiting > 0,
            FlushWhen::Due => {
                let per_call = waiting.saturating_sub(self.waited) / self.calls.max(1);
                let to_come = per_call.saturating_mul(left as u64);
                let in_the_end = waiting.saturating_add(to_come);
                self.deferred =
                    in_the_end >= self.threshold() && in_the_end < self.options.at_least;
                in_the_end >= self.threshold() && !self.deferred
            }
        };
        Ok(due.then(|| usize::try_from(waiting).unwrap_or(usize::MAX)))
    }

    fn threshold(&self) -> u64 {
        self.collection.config.sync_threshold.max(1)
    }

    /// Whether only [`FlushOptions::at_least`] holds the flush back.
    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred
    }

    fn begin(&self, dimension: u32, expected: usize) -> StoreResult<Begun> {
        let stored = match self.from {
            IndexFrom::Space(stored) => stored,
            _ => self.collection.config.space,
        };
        let folder = segment_dir(self.db.dir, &self.collection);
        let opened = match self.from {
            IndexFrom::Log => Ok(None),
            IndexFrom::Remains => IndexFiles::of_remains(self.db.dir, &self.collection),
            _ => IndexFiles::open_at(folder, stored, self.collection.dimension),
        };
        let (files, seq) = match opened {
            Ok(Some(files)) => {
                let seq = files.progress(&self.collection);
                (Some(files), seq)
            }
            // chromadb takes missing files for "nothing indexed yet" and reads the whole log.
            Ok(None) => (None, 0),
            Err(error) if error.is_index_damage() && self.log_is_whole()? => (None, 0),
            Err(error) => return Err(error),
        };
        let ids = files.iter().flat_map(IndexFiles::ids);
        let known = ids.map(str::to_owned).collect();
        let indexer = Indexer::begin(Start {
            files,
            empty: MemoryIndex::new(&self.collection, dimension, &self.db.path())?,
            rebuild: self.from.engine(),
            expected,
            options: self.options,
        })?;
        Ok(Begun {
            indexer,
            known,
            seq,
        })
    }

    /// Whether the log has every vector, so that the flush does not need the old files.
    fn log_is_whole(&self) -> StoreResult<bool> {
        log_is_whole(self.db, &self.collection)
    }

    /// Writes the files and the rows that name them; `None` if no row was taken in. The caller
    /// commits.
    ///
    /// # Errors
    /// A record has no vector, the thread failed, or the files cannot be written.
    pub(crate) fn finish(self) -> StoreResult<Option<FlushReport>> {
        let Some(begun) = self.begun else {
            return Ok(None);
        };
        // The thread finishes the index meanwhile.
        let ghosts = records::ghosts(self.db, &self.collection, &begun.known);
        let mut made = begun.indexer.finish()?;
        let ghosts = ghosts?;
        let (known, indexed) = (begun.known.len(), made.index.elements.len());
        if known != indexed {
            let dir = segment_dir(self.db.dir, &self.collection);
            let detail = format!("{known} ids share {indexed} vectors");
            return Err(index::bad(&dir, detail));
        }
        ghosts.iter().for_each(|id| made.index.remove(id));
        install::install(
            self.db,
            &self.collection,
            (&made.index, self.options.read_back),
            begun.seq,
        )?;
        Ok(Some(FlushReport {
            inserted: made.inserted,
            unchanged: made.unchanged,
            removed: made.removed + ghosts.len() as u64,
            rebuilt: made.rebuilt,
            indexed: made.index.elements.len() as u64,
            distances: made.distances,
        }))
    }
}
