//! Options of a flush, and its report.

use serde::{Deserialize, Serialize};

use crate::Space;

/// The source of new index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexFrom {
    /// The old files, and the waiting rows of the log.
    Files,
    /// The vectors of the old files, and the waiting rows. The engine makes all links again.
    Vectors(Engine),
    /// The vectors of the old files, which are stored for this other space, and the waiting rows.
    Space(Space),
    /// The vectors of files of which other parts cannot be read, and the waiting rows.
    Remains,
    /// The log alone. It has to be whole; the files cannot be read.
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

/// When a flush moves vectors from the log into the index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlushWhen {
    /// As Chroma does: when as many rows wait as the collection's sync threshold says.
    #[default]
    Due,
    /// Whenever a row waits.
    Always,
    /// Never: the rows stay in the log, and every reader indexes them when it starts.
    Never,
}

/// The code that rebuilds a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The crate `hnsw-graph`, which can also insert into an existing graph.
    #[default]
    Native,
    /// The crate `hnsw_rs`, as an independent second opinion.
    HnswRs,
}

/// How a flush makes index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushOptions {
    /// When the flush is due.
    pub when: FlushWhen,
    /// With [`FlushWhen::Due`]: the least number of waiting rows, if that is more than the
    /// collection's threshold.
    pub at_least: u64,
    /// Number of threads; 0 for one per core. With one thread the same input gives the same files.
    pub threads: usize,
    /// Percentage of delete-marked elements above which the graph is rebuilt. Chroma's own searches
    /// change their algorithm above 20.
    pub rebuild_above_deleted_percent: u8,
    /// Percentage of free pages above which the caller that closes the directory vacuums its
    /// database ([`Store::vacuum_above`](crate::Store::vacuum_above)). With 100 it never does.
    pub vacuum_above_free_percent: u8,
    /// Seed of the random levels of new elements.
    pub seed: u64,
    /// Reads and checks new index files before the database names them. Meant for a directory that
    /// is changed in place, which nothing else verifies before the transaction commits.
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

/// What a flush did to the index files of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FlushReport {
    /// Vectors that the flush inserted.
    pub inserted: u64,
    /// Vectors that the index had already, bit for bit.
    pub unchanged: u64,
    /// Elements that the flush marked as deleted, or left out of a rebuilt graph.
    pub removed: u64,
    /// The engine that rebuilt the graph; `None` if the old links were kept.
    pub rebuilt: Option<Engine>,
    /// Ids in the index after the flush.
    pub indexed: u64,
    /// Distances that the native engine computed: a measure of its work.
    pub distances: u64,
}
