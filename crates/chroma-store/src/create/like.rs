//! Makes an empty directory with a collection like that of a delta of unknown origin.

use std::path::Path;

use super::build::{NewIds, Row, build, copy_metadata, insert_collection};
use crate::collection::{
    check_foreign_config, load_one, only_allowed, refuse_large_configurations,
};
use crate::database::{Database, OpenDatabase};
use crate::{Collection, EmbeddingFunction, Open, Space, Store, StoreError, StoreResult, Which};

/// Most links per element. Each takes eight bytes of every element in the index files.
const MOST_NEIGHBORS: u32 = 512;
/// Most candidates of a search. A search with more scans the whole index.
const MOST_CANDIDATES: u32 = 10_000;

/// What a new directory takes over from a delta of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LikeOptions<'a> {
    /// Embedding functions that the new collection may name. chromadb's default is always allowed.
    pub embedding_functions: &'a [EmbeddingFunction],
    /// The most bytes of a value that is read from the delta; `None` for SQLite's own limit.
    pub longest_value: Option<u32>,
}

/// Creates the new directory `dir` with one collection of the delta `model` and without its
/// records. The directory has the schema level of `model`. The collection has the same name,
/// database, tenant, configuration and metadata, to the byte, but for embedding functions that
/// `options` do not allow. Returns these.
///
/// # Errors
/// As for [`create`](super::create()). `model` cannot be read, or lacks the collection. Its
/// configuration is too large (`ConfigurationTooLarge`), or malformed or asks for parameters that
/// would make each vector too expensive (`BadConfiguration`).
pub fn create_like<'a>(
    dir: &Path,
    model: &Path,
    which: impl Into<Which<'a>>,
    ids: NewIds,
    options: LikeOptions<'_>,
) -> StoreResult<(Store<Open>, Vec<EmbeddingFunction>)> {
    let source = OpenDatabase::delta(model, options.longest_value)?;
    let source = source.get();
    refuse_large_configurations(source)?;
    let collection = &load_one(source, which.into())?;
    let config = &collection.config;
    for (name, found, most) in [
        ("max_neighbors", config.max_neighbors, MOST_NEIGHBORS),
        ("ef_construction", config.ef_construction, MOST_CANDIDATES),
        ("ef_search", config.ef_search, MOST_CANDIDATES),
    ] {
        if found > most {
            return Err(StoreError::BadConfiguration {
                path: source.path(),
                collection: collection.name.to_string(),
                detail: format!("{name} is {found}, and a first delta may ask for {most}"),
            });
        }
    }
    let mut row = read_row(source, collection).map_err(source.failed("read the collection"))?;
    let mut left_out = Vec::new();
    for (name, text) in [
        ("config_json_str", &row.config),
        ("schema_str", &row.schema),
    ] {
        check_foreign_config(name, text.as_deref()).map_err(|detail| {
            StoreError::BadConfiguration {
                path: source.path(),
                collection: collection.name.to_string(),
                detail,
            }
        })?;
    }
    for column in [&mut row.config, &mut row.schema] {
        if let Some(text) = column.take() {
            let (text, others) = only_allowed(text, options.embedding_functions);
            *column = Some(text);
            for function in others {
                if !left_out.contains(&function) {
                    left_out.push(function);
                }
            }
        }
    }
    let store = build(dir, source.level, |connection| {
        insert_collection(connection, source.level, ids, &row)?;
        copy_metadata(
            source.connection,
            connection,
            "collection_metadata",
            "collection_id",
            [collection.id, ids.collection],
        )?;
        copy_metadata(
            source.connection,
            connection,
            "segment_metadata",
            "segment_id",
            [collection.vector_segment, ids.vector_segment],
        )
    })?;
    Ok((store, left_out))
}

/// The embedding functions of the collection `which` of a delta that [`create_like`] would leave
/// out.
///
/// # Errors
/// The delta cannot be read, or lacks the collection.
pub fn functions_left_out<'a>(
    delta: &Path,
    which: impl Into<Which<'a>>,
    allowed: &[EmbeddingFunction],
) -> StoreResult<Vec<EmbeddingFunction>> {
    let collection = load_one(OpenDatabase::read(delta)?.get(), which.into())?;
    let named = collection.embedding_functions.into_iter();
    let is_allowed = |one: &EmbeddingFunction| allowed.iter().any(|known| known.is(one));
    Ok(named.filter(|one| !is_allowed(one)).collect())
}

/// The distance space of the collection `which` of a delta. SQLite refuses values of more than
/// `longest_value` bytes.
///
/// # Errors
/// The delta cannot be read, lacks the collection, or has too large a configuration
/// (`ConfigurationTooLarge`).
pub fn space_of<'a>(
    delta: &Path,
    which: impl Into<Which<'a>>,
    longest_value: Option<u32>,
) -> StoreResult<Space> {
    let db = OpenDatabase::delta(delta, longest_value)?;
    refuse_large_configurations(db.get())?;
    load_one(db.get(), which.into()).map(|found| found.config.space)
}

fn read_row(db: Database<'_>, collection: &Collection) -> rusqlite::Result<Row> {
    let schema = if db.level.has_schema_column() {
        "schema_str"
    } else {
        "NULL"
    };
    db.connection.query_row(
        &format!("SELECT config_json_str, {schema}, database_id FROM collections WHERE id = ?1"),
        [collection.id.to_string()],
        |row| {
            Ok(Row {
                name: collection.name.clone(),
                config: row.get(0)?,
                schema: row.get(1)?,
                database_id: row.get(2)?,
            })
        },
    )
}
