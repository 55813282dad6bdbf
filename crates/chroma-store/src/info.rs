//! What a directory holds, for people.

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

/// What a directory holds.
#[derive(Debug, Clone, Serialize)]
pub struct StoreInfo {
    /// The schema level.
    pub schema_level: SchemaLevel,
    /// The chromadb versions that write it.
    pub chromadb_versions: &'static str,
    /// How large `chroma.sqlite3` is.
    pub database: DatabaseSize,
    /// All collections, by name.
    pub collections: Vec<CollectionInfo>,
    /// Findings of a full verification.
    pub problems: Vec<Problem>,
}

/// What a collection holds.
#[derive(Debug, Clone, Serialize)]
pub struct CollectionInfo {
    /// Its names: `tenant`, `database`, `name`.
    #[serde(flatten)]
    pub name: FullName,
    /// Records.
    pub records: u64,
    /// Elements per vector.
    pub dimension: Option<u32>,
    /// Index parameters, the space among them.
    pub config: HnswConfig,
    /// The embedding functions that its configuration names, but for chromadb's default: a reader's
    /// chromadb makes them and sends them its queries.
    pub embedding_functions: Vec<EmbeddingFunction>,
    /// Where its vectors are.
    pub vectors: VectorPlaces,
    /// How well its graph can be searched; `None` while nothing is indexed, and if it is damaged.
    pub graph: Option<GraphHealth>,
}

/// Where vectors are. A record may be counted in both places: indexed, and changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VectorPlaces {
    /// Ids in the index files.
    pub indexed: u64,
    /// Elements of the graph that are marked as deleted.
    pub indexed_deleted: u64,
    /// Log rows that the index files have not seen.
    pub unflushed: u64,
}

impl StoreInfo {
    /// Reads a directory that nobody is writing to.
    ///
    /// # Errors
    /// It cannot be read as a Chroma directory.
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

/// Where the vectors are, and how well their graph can be searched.
fn vectors(
    db: Database<'_>,
    collection: &Collection,
) -> StoreResult<(VectorPlaces, Option<GraphHealth>)> {
    let files = IndexFiles::open(db.dir, collection)?;
    let seen = files.as_ref().map_or(0, |files| files.progress(collection));
    let unflushed = WalReader::new(db, collection).count_after(seen)?;
    let index = files.as_ref().map(|files| files.load(0)).transpose();
    let index = match index {
        // Verification has told of the damage.
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
