//! Folds the vectors that wait in the log into the index files.
//!
//! The new files go into a folder of their own, under a new segment id, and are on disk before the
//! transaction that names the id commits: before it the directory is the old one, after it the
//! new one, and no crash leaves a mixture.

mod build;
mod options;
mod publish;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::index::IndexFiles;
use crate::queue::{Overlay, QueueReader, purge_below, purges};
use crate::{Collection, SchemaLevel, StoreResult, delta};

pub use options::{Engine, FoldOptions, FoldReport, FoldWhen};
pub(crate) use publish::remove_unnamed_folders;

/// A fold in the caller's transaction: takes in log rows as they come, and writes in the end.
pub(crate) struct Folding<'c> {
    connection: &'c Connection,
    path: PathBuf,
    dir: PathBuf,
    level: SchemaLevel,
    collection: Collection,
    options: FoldOptions,
    /// `Some` to build the graph anew, whatever waits.
    rebuild: Option<Engine>,
    purges: bool,
    begun: Option<Begun>,
}

/// What has been taken in so far.
struct Begun {
    /// The old files, unless there are none or they cannot be used.
    files: Option<IndexFiles>,
    changes: Overlay<Vec<u8>>,
    /// The last row that was taken in.
    seq: u64,
}

impl<'c> Folding<'c> {
    pub(crate) fn new(
        connection: &'c Connection,
        dir: &Path,
        level: SchemaLevel,
        collection: &Collection,
        options: FoldOptions,
        rebuild: Option<Engine>,
    ) -> StoreResult<Self> {
        let path = crate::connection::database_path(dir);
        Ok(Self {
            connection,
            dir: dir.to_path_buf(),
            level,
            collection: collection.clone(),
            options,
            rebuild,
            purges: purges(connection, &path)?,
            begun: None,
            path,
        })
    }

    /// Takes in the rows that are there now, if it is time for a fold. Their space in the log is
    /// free for the next ones afterwards, so that a large merge does not leave a large file.
    ///
    /// `dimension` is the collection's as it is now.
    pub(crate) fn advance(&mut self, dimension: Option<u32>) -> StoreResult<()> {
        self.collection.dimension = dimension;
        if self.begun.is_none() {
            if !self.is_due()? {
                return Ok(());
            }
            self.begun = Some(self.begin()?);
        }
        let Some(begun) = &mut self.begun else {
            return Ok(());
        };
        let queue = QueueReader::new(self.connection, &self.path, &self.collection);
        let Some(last) = queue.last()? else {
            return Ok(());
        };
        let Begun {
            files,
            changes,
            seq,
        } = begun;
        queue.for_each_vector(*seq, last, |_, kind, id, vector| {
            changes.apply(kind, id, vector, |id| {
                files.as_ref().is_some_and(|files| files.contains(id))
            });
            Ok(())
        })?;
        *seq = last.max(*seq);
        if self.purges {
            purge_below(self.connection, &self.path, &self.collection, last)?;
        }
        Ok(())
    }

    fn is_due(&self) -> StoreResult<bool> {
        if self.rebuild.is_some() {
            return Ok(true);
        }
        let wanted = match self.options.when {
            FoldWhen::Never => return Ok(false),
            FoldWhen::Always => 1,
            FoldWhen::Due => u64::from(self.collection.config.sync_threshold.max(1)),
        };
        let seen = self.collection.vector_seq.unwrap_or(0);
        let queue = QueueReader::new(self.connection, &self.path, &self.collection);
        Ok(queue.count_after(seen)? >= wanted)
    }

    fn begin(&self) -> StoreResult<Begun> {
        let (files, seq) = match IndexFiles::open(&self.dir, &self.collection) {
            Ok(Some(files)) => {
                let seen = self.collection.vector_seq.or(files.legacy_seq());
                (Some(files), seen.unwrap_or(0))
            }
            // chromadb takes missing files for "nothing indexed yet" and reads the whole log.
            Ok(None) => (None, 0),
            Err(error) if error.is_index_damage() && self.log_is_whole()? => (None, 0),
            Err(error) => return Err(error),
        };
        Ok(Begun {
            files,
            changes: Overlay::default(),
            seq,
        })
    }

    /// Whether every vector is in the log, so that the old files are not needed.
    fn log_is_whole(&self) -> StoreResult<bool> {
        delta::log_is_whole(self.connection, &self.path, &self.collection)
    }

    /// Writes the files and the rows that name them, if anything was taken in. The caller commits.
    pub(crate) fn finish(self) -> StoreResult<Option<FoldReport>> {
        let Some(begun) = self.begun else {
            return Ok(None);
        };
        let Some(dimension) = self.collection.dimension else {
            return Ok(None);
        };
        let job = build::Job {
            connection: self.connection,
            path: &self.path,
            collection: &self.collection,
            dimension,
            options: self.options,
            rebuild: self.rebuild,
        };
        let (index, report) = job.run(begun.files, begun.changes)?;
        publish::publish(
            self.connection,
            &self.path,
            &self.dir,
            (&self.collection, self.level),
            &index,
            begun.seq,
        )?;
        Ok(Some(report))
    }
}
