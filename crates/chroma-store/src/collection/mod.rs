//! Collections of a directory: identity, segments, configuration and progress.

mod config;
mod embedding_function;
mod foreign_config;
mod name;
mod parameters;

use std::path::Path;

use rusqlite::OptionalExtension;
use rusqlite::types::{Value as SqlValue, ValueRef};
use uuid::Uuid;

use crate::database::{Database, OpenDatabase};
use crate::{SchemaLevel, StoreError, StoreResult};

pub use config::HnswConfig;
pub(crate) use config::{SegmentMetadata, read_segment_metadata};
pub use embedding_function::EmbeddingFunction;
#[cfg(feature = "fuzzing")]
pub(crate) use embedding_function::named;
pub(crate) use embedding_function::only_allowed;
pub(crate) use foreign_config::{check as check_foreign_config, refuse_large_configurations};
pub(crate) use name::{DEFAULT_DATABASE, DEFAULT_TENANT};
pub use name::{FullName, Which};
pub use parameters::Parameters;

const VECTOR_SCOPE: &str = "VECTOR";
const METADATA_SCOPE: &str = "METADATA";
pub(crate) const VECTOR_TYPE: &str = "urn:chroma:segment/vector/hnsw-local-persisted";
pub(crate) const METADATA_TYPE: &str = "urn:chroma:segment/metadata/sqlite";

/// A collection of a directory, as its rows in `collections`, `segments` and `max_seq_id` describe
/// it.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// `collections.id`.
    pub id: Uuid,
    /// Its own name, and the names of its database and tenant.
    pub name: FullName,
    /// Elements per vector; `None` before the first record.
    pub dimension: Option<u32>,
    /// Id of the VECTOR segment. The folder of the index files has this name.
    pub vector_segment: Uuid,
    /// Id of the METADATA segment, which owns the records.
    pub metadata_segment: Uuid,
    /// Parameters of its HNSW index.
    pub config: HnswConfig,
    /// The embedding functions that its configuration names, without chromadb's default.
    pub embedding_functions: Vec<EmbeddingFunction>,
    /// The last `seq_id` that the records contain; `None` if `max_seq_id` has no row for the
    /// METADATA segment.
    pub metadata_seq: Option<u64>,
    /// The last `seq_id` that the index files contain; `None` if `max_seq_id` has no row for the
    /// VECTOR segment: chromadb never wrote them.
    pub vector_seq: Option<u64>,
}

impl Collection {
    /// The `topic` of its rows in `embeddings_queue`. Its tenant and namespace are always
    /// "default".
    pub(crate) fn topic(&self) -> String {
        format!("persistent://default/default/{}", self.id)
    }

    /// Bytes of one vector; `None` while the dimension is unknown.
    pub(crate) fn vector_bytes(&self) -> Option<usize> {
        self.dimension.map(|dimension| dimension as usize * 4)
    }
}

/// Loads every collection of the database, ordered by name.
pub(crate) fn load_all(db: Database<'_>) -> StoreResult<Vec<Collection>> {
    read_rows(db)?
        .into_iter()
        .map(|raw| raw.complete(db))
        .collect()
}

/// The names of all collections.
pub(crate) fn names(db: Database<'_>) -> StoreResult<Vec<FullName>> {
    let rows = read_rows(db)?;
    Ok(rows.into_iter().map(|raw| raw.name).collect())
}

/// The full names of the collections in the directory `dir`, sorted by name.
///
/// # Errors
/// `dir` is not a closed Chroma directory, its database is torn or damaged, or its schema level is
/// unknown.
pub fn collection_names(dir: &Path) -> StoreResult<Vec<FullName>> {
    names(OpenDatabase::read(dir)?.get())
}

/// Loads the collection that `which` names, and reads no more than the names of the others: there
/// may be many.
///
/// # Errors
/// No collection fits (`CollectionMissing`), several do (`CollectionAmbiguous`), or its
/// configuration cannot be read.
pub(crate) fn load_one(db: Database<'_>, which: Which<'_>) -> StoreResult<Collection> {
    let rows = read_rows(db)?;
    let id = which.named(&rows, |raw| &raw.name, db.dir)?.id.clone();
    let mut rows = rows.into_iter().filter(|raw| raw.id == id);
    match rows.next() {
        Some(raw) => raw.complete(db),
        None => Err(db.damaged(format!("there is no collection {id}"))),
    }
}

fn read_rows(db: Database<'_>) -> StoreResult<Vec<RawCollection>> {
    let schema_column = if db.level.has_schema_column() {
        "c.schema_str"
    } else {
        "NULL"
    };
    let sql = format!(
        "SELECT c.id, c.name, d.name, c.dimension, c.config_json_str, {schema_column}, d.tenant_id
         FROM collections c JOIN databases d ON d.id = c.database_id
         ORDER BY c.name, d.name, d.tenant_id"
    );
    db.connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok(RawCollection {
                        id: row.get(0)?,
                        name: FullName {
                            name: row.get(1)?,
                            database: row.get(2)?,
                            tenant: row.get(6)?,
                        },
                        dimension: row.get(3)?,
                        config_json: row.get(4)?,
                        schema_json: row.get(5)?,
                    })
                })?
                .collect()
        })
        .map_err(db.failed("read the collections"))
}

/// Finds the collection that `which` names in the directory `dir`.
///
/// # Errors
/// `CollectionMissing` or `CollectionAmbiguous`.
pub(crate) fn find<'a>(
    collections: &'a [Collection],
    which: Which<'_>,
    dir: &Path,
) -> StoreResult<&'a Collection> {
    which.named(collections, |collection| &collection.name, dir)
}

struct RawCollection {
    id: String,
    name: FullName,
    dimension: Option<i64>,
    config_json: Option<String>,
    schema_json: Option<String>,
}

impl RawCollection {
    fn complete(self, db: Database<'_>) -> StoreResult<Collection> {
        let bad = |detail: String| StoreError::BadConfiguration {
            path: db.path(),
            collection: self.name.to_string(),
            detail,
        };
        let id = Uuid::try_parse(&self.id)
            .map_err(|_| bad(format!("its id `{}` is not a UUID", self.id)))?;
        let dimension = self
            .dimension
            .map(|value| {
                u32::try_from(value)
                    .ok()
                    .filter(|dimension| *dimension > 0)
                    .ok_or_else(|| bad(format!("its dimension is {value}")))
            })
            .transpose()?;
        let segment = |scope: &'static str, kind: &str| {
            let found: Vec<(String, String)> = db
                .connection
                .prepare_cached(
                    "SELECT id, type FROM segments WHERE collection = ?1 AND scope = ?2",
                )
                .and_then(|mut s| {
                    s.query_map([&self.id, scope], |row| Ok((row.get(0)?, row.get(1)?)))?
                        .collect()
                })
                .map_err(db.failed("read the segments"))?;
            match found.as_slice() {
                [(id, found_kind)] if found_kind == kind => Uuid::try_parse(id)
                    .map_err(|_| bad(format!("the {scope} segment's id `{id}` is not a UUID"))),
                [(_, other)] => Err(bad(format!("the {scope} segment has the type `{other}`"))),
                many => Err(bad(format!("{} {scope} segments, 1 expected", many.len()))),
            }
        };
        let vector_segment = segment(VECTOR_SCOPE, VECTOR_TYPE)?;
        let metadata_segment = segment(METADATA_SCOPE, METADATA_TYPE)?;
        let segment_metadata = read_segment_metadata(db, vector_segment)?;
        let config = HnswConfig::resolve(
            self.config_json.as_deref(),
            self.schema_json.as_deref(),
            &segment_metadata,
        )
        .map_err(bad)?;
        let columns = [&self.config_json, &self.schema_json];
        let columns = columns.map(|column| column.as_deref());
        let embedding_functions = embedding_function::named(columns);
        Ok(Collection {
            id,
            dimension,
            vector_segment,
            metadata_segment,
            config,
            embedding_functions,
            metadata_seq: max_seq_id(db, metadata_segment)?,
            vector_seq: max_seq_id(db, vector_segment)?,
            name: self.name,
        })
    }
}

fn max_seq_id(db: Database<'_>, segment: Uuid) -> StoreResult<Option<u64>> {
    db.connection
        .prepare_cached("SELECT seq_id FROM max_seq_id WHERE segment_id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([segment.to_string()], |row| decode_seq(row.get_ref(0)?))
                .optional()
        })
        .map_err(db.failed("read max_seq_id"))
}

/// Reads a sequence number in either encoding: INTEGER, or 8 bytes big-endian (level L06).
pub(crate) fn decode_seq(value: ValueRef<'_>) -> rusqlite::Result<u64> {
    let invalid = || {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            value.data_type(),
            "a sequence number is an INTEGER or 8 bytes big-endian".into(),
        )
    };
    match value {
        ValueRef::Integer(number) => u64::try_from(number).map_err(|_| invalid()),
        ValueRef::Blob(bytes) => bytes
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

/// A sequence number in the encoding of this level.
pub(crate) fn encode_seq(level: SchemaLevel, seq: u64) -> SqlValue {
    if level.seq_is_blob() {
        SqlValue::Blob(seq.to_be_bytes().to_vec())
    } else {
        SqlValue::Integer(i64::try_from(seq).unwrap_or(i64::MAX))
    }
}

/// Writes into `max_seq_id` that `segment` contains the log up to `seq`.
pub(crate) fn write_progress(db: Database<'_>, segment: Uuid, seq: u64) -> rusqlite::Result<()> {
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO max_seq_id (segment_id, seq_id) VALUES (?1, ?2)")
        .and_then(|mut s| {
            s.execute(rusqlite::params![
                segment.to_string(),
                encode_seq(db.level, seq)
            ])
        })
        .map(drop)
}
