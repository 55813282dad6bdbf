//! What a flush is asked for and what it reports.

use serde::{Deserialize, Serialize};

use crate::Space;

/// What new index files are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexFrom {
    /// The files that are there, and what waits in the log.
    Files,
    /// The vectors of the files, and what waits in the log; the engine makes all links anew.
    Vectors(Engine),
    /// The vectors of the files, which are stored as this other space wants them.
    Space(Space),
    /// The vectors of files whose other parts cannot be read, and what waits in the log.
    Remains,
    /// The log alone, which has to be whole: the files cannot be read.
    Log,
}

impl IndexFrom {
    pub(super) fn engine(self) -> Option<Engine> {
        match self {
            Self::Vectors(engine) => Some(engine),
            Self::Space(_) | Self::Remains => Some(Engine::Native),
            Self::Files | Self::Log => None,
        }
    }
}

/// When vectors that wait in the log go into the index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlushWhen {
    /// When as many rows wait as the collection's sync threshold says, as Chroma does.
    #[default]
    Due,
    /// Whenever one waits.
    Always,
    /// Never: they stay in the log, and readers index them at every start.
    Never,
}

/// Which code builds a graph anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// This crate's own, which also inserts into graphs that are there.
    #[default]
    Native,
    /// The crate `hnsw_rs`, as a second opinion.
    HnswRs,
}

/// How index files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushOptions {
    /// When.
    pub when: FlushWhen,
    /// With [`FlushWhen::Due`]: how many rows must wait, if that is more than the collection's
    /// threshold.
    pub at_least: u64,
    /// Threads; 0 for one per core. With 1 the same input gives the same files.
    pub threads: usize,
    /// A graph with a larger share of delete-marked elements is built anew, in percent. Chroma's
    /// own searches change their ways above 20.
    pub rebuild_above_deleted_percent: u8,
    /// A database with a larger share of free pages is written anew, in percent, by whoever closes it
    /// ([`Store::vacuum_above`](crate::Store::vacuum_above)). With 100 none is.
    pub vacuum_above_free_percent: u8,
    /// What random levels are drawn from.
    pub seed: u64,
    /// New index files are read and checked before the database names them: for a directory that is
    /// changed in place, which nothing verifies before the transaction ends.
    pub read_back: bool,
}

impl Default for FlushOptions {
    fn default() -> Self {
        Self {
            when: FlushWhen::Due,
            at_least: 0,
            threads: 0,
            rebuild_above_deleted_percent: 20,
            vacuum_above_free_percent: 100,
            seed: 0x5EED,
            read_back: false,
        }
    }
}

impl FlushOptions {
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        }
    }
}

/// What became of the index files of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlushReport {
    /// Vectors that were inserted.
    pub inserted: u64,
    /// Vectors that were there already, bit by bit, and were left alone.
    pub unchanged: u64,
    /// Elements that were delete-marked, or left out of a graph built anew.
    pub removed: u64,
    /// Whether the graph was built anew, and by whom.
    pub rebuilt: Option<Engine>,
    /// Ids in the index now.
    pub indexed: u64,
    /// Distances that the native engine computed.
    pub distances: u64,
}
