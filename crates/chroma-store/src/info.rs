//! Describes a directory for users.

use std::path::Path;

use serde::Serialize;

use crate::collection::load_all;
use crate::database::{Database, OpenDatabase};
use crate::index::IndexFiles;
use crate::problem::Problem;
use crate::verify::{VerifyLevel, verify};
use crate::wal::WalReader;
use crate::{
    Collection, DatabaseSize, EmbeddingFunction, FullName, HnswConfig, SchemaLevel, StoreResult,
};
use hnsw_graph::GraphHealth;

/// What a directory has, as `chroma-compactor store info` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct StoreInfo {
    /// The schema level of the directory.
    pub schema_level: SchemaLevel,
    /// The chromadb versions that write this level, such as `1.3.0 to 1.4.1`.
    pub chromadb_versions: &'static str,
    /// The size of `chroma.sqlite3`, and how much of it is free.
    pub database: DatabaseSize,
    /// All collections, sorted by name.
    pub collections: Vec<CollectionInfo>,
    /// The findings of a full verification.
    pub problems: Vec<Problem>,
}

/// What a collection has, and where its vectors are.
#[derive(Debug, Clone, Serialize)]
pub struct CollectionInfo {
    /// Its full name, as the keys `tenant`, `database` and `name`.
    #[serde(flatten)]
    pub name: FullName,
    /// Number of records in the metadata segment.
    pub records: u64,
    /// Elements per vector; `None` before the first record.
    pub dimension: Option<u32>,
    /// Parameters of its HNSW index, the space included.
    pub config: HnswConfig,
    /// The embedding functions that its configuration names, without chromadb's default. The
    /// chromadb of a reader instantiates them and sends them its queries.
    pub embedding_functions: Vec<EmbeddingFunction>,
    /// How many of its vectors are indexed, and how many wait in the log.
    pub vectors: VectorPlaces,
    /// How well searches work in its graph; `None` if nothing is indexed or the files are damaged.
    pub graph: Option<GraphHealth>,
}

/// Where the vectors of a collection are. A record that is indexed and was changed later counts in
/// both places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VectorPlaces {
    /// Number of ids in the index files.
    pub indexed: u64,
    /// Number of elements of the graph that are delete-marked.
    pub indexed_deleted: u64,
    /// Number of log rows that no flush has moved into the index files.
    pub unflushed: u64,
}

impl StoreInfo {
    /// Reads the closed directory `dir`, and verifies it in full.
    ///
    /// # Errors
    /// As for [`verify`](crate::verify()), damaged index files included.
    pub fn read(dir: &Path) -> StoreResult<Self> {
        let report = verify(dir, VerifyLevel::Full)?;
        let db = OpenDatabase::read(dir)?;
        let db = db.get();
        let collections = load_all(db)?
            .into_iter()
            .map(|collection| {
                let (vectors, graph) = vectors(db, &collection)?;
                let checked = report
                    .collections
                    .iter()
                    .find(|checked| checked.full_name == collection.name);
                let records = checked.map_or(0, |checked| checked.records);
                Ok(CollectionInfo {
                    records,
                    vectors,
                    graph,
                    name: collection.name,
                    dimension: collection.dimension,
                    config: collection.config,
                    embedding_functions: collection.embedding_functions,
                })
            })
            .collect::<StoreResult<_>>()?;
        Ok(Self {
            schema_level: db.level,
            chromadb_versions: db.level.versions(),
            database: DatabaseSize::of(db.connection).map_err(db.failed("measure the database"))?,
            collections,
            problems: report.problems,
        })
    }
}

/// Counts the vectors of a collection, and measures its graph.
fn vectors(
    db: Database<'_>,
    collection: &Collection,
) -> StoreResult<(VectorPlaces, Option<GraphHealth>)> {
    let files = IndexFiles::open(db.dir, collection)?;
    let seen = files.as_ref().map_or(0, |files| files.progress(collection));
    let unflushed = WalReader::new(db, collection).count_after(seen)?;
    let index = files.as_ref().map(|files| files.load(0)).transpose();
    let index = match index {
        // The verification reports the damage.
        Err(error) if error.is_index_damage() => None,
        loaded => loaded?,
    };
    let ef = collection.config.ef_search as usize;
    let places = VectorPlaces {
        indexed: files.as_ref().map_or(0, IndexFiles::len) as u64,
        indexed_deleted: files
            .as_ref()
            .map_or(0, |files| files.elements().saturating_sub(files.len()))
            as u64,
        unflushed,
    };
    Ok((places, index.map(|index| index.graph.health(ef))))
}
