//! Writes the database of a new directory: byte-exact migrations, and rows of collections without
//! records.

use std::path::Path;

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::collection::{METADATA_TYPE, VECTOR_TYPE};
use crate::schema::migrate;
use crate::{
    DATABASE_NAME, FullName, Open, OpenOptions, SchemaLevel, Space, Store, StoreError, StoreResult,
    connection,
};

/// Without this row, chromadb inserts one that turns purging off for good (0.5.23 to 1.5.9).
const QUEUE_CONFIG: &str =
    r#"{"automatically_purge":true,"_type":"EmbeddingsQueueConfigurationInternal"}"#;

/// Ids of a new collection. The caller makes them, so that nothing here is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIds {
    /// `collections.id` of the collection.
    pub collection: Uuid,
    /// `segments.id` of its VECTOR segment, and the name of the folder of its index files.
    pub vector_segment: Uuid,
    /// `segments.id` of its METADATA segment.
    pub metadata_segment: Uuid,
}

/// Columns of a collection that the new directory takes over to the byte.
pub(super) struct Row {
    pub(super) name: FullName,
    pub(super) database_id: String,
    pub(super) config: Option<String>,
    pub(super) schema: Option<String>,
}

/// Makes the database of the new directory `dir`, and lets `fill` insert its collections. Removes
/// the unfinished directory after an error.
///
/// # Errors
/// `AlreadyExists`, or the directory cannot be written.
pub(super) fn build(
    dir: &Path,
    level: SchemaLevel,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> StoreResult<Store<Open>> {
    if dir.join(DATABASE_NAME).symlink_metadata().is_ok() {
        return Err(StoreError::AlreadyExists {
            path: dir.join(DATABASE_NAME),
        });
    }
    let existed = dir.is_dir();
    let built = build_in_place(dir, level, fill);
    if built.is_err() && !existed {
        // The caller gets the first error, not that of the removal.
        let _ = fs_err::remove_dir_all(dir);
    } else if built.is_err() {
        let _ = fs_err::remove_file(dir.join(DATABASE_NAME));
    }
    built
}

fn build_in_place(
    dir: &Path,
    level: SchemaLevel,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> StoreResult<Store<Open>> {
    fs_err::create_dir_all(dir)?;
    let path = connection::database_path(dir);
    let mut connection = connection::create_new(dir)?;
    let transaction = connection
        .transaction()
        .map_err(StoreError::sqlite(&path, "begin"))?;
    migrate(&transaction, level)
        .and_then(|()| fill(&transaction))
        .and_then(|()| {
            transaction.execute(
                "INSERT INTO embeddings_queue_config (config_json_str) VALUES (?1)",
                [QUEUE_CONFIG],
            )
        })
        .map_err(StoreError::sqlite(&path, "create the schema"))?;
    transaction
        .commit()
        .map_err(StoreError::sqlite(&path, "commit the schema"))?;
    connection
        .close()
        .map_err(|(_, error)| StoreError::sqlite(&path, "close")(error))?;
    Store::open(dir, OpenOptions::default())
}

pub(super) fn insert_collection(
    connection: &Connection,
    level: SchemaLevel,
    ids: NewIds,
    row: &Row,
) -> rusqlite::Result<()> {
    let FullName {
        tenant,
        database,
        name,
    } = &row.name;
    connection.execute("INSERT OR IGNORE INTO tenants (id) VALUES (?1)", [tenant])?;
    connection.execute(
        "INSERT OR IGNORE INTO databases (id, name, tenant_id) VALUES (?1, ?2, ?3)",
        [&row.database_id, database, tenant],
    )?;
    connection.execute(
        "INSERT INTO collections (id, name, dimension, database_id, config_json_str)
         VALUES (?1, ?2, NULL, ?3, ?4)",
        params![
            ids.collection.to_string(),
            name,
            row.database_id,
            row.config
        ],
    )?;
    if level.has_schema_column() {
        connection.execute(
            "UPDATE collections SET schema_str = ?2 WHERE id = ?1",
            params![ids.collection.to_string(), row.schema],
        )?;
    }
    for (id, kind, scope) in [
        (ids.vector_segment, VECTOR_TYPE, "VECTOR"),
        (ids.metadata_segment, METADATA_TYPE, "METADATA"),
    ] {
        connection.execute(
            "INSERT INTO segments (id, type, scope, collection) VALUES (?1, ?2, ?3, ?4)",
            params![id.to_string(), kind, scope, ids.collection.to_string()],
        )?;
    }
    Ok(())
}

/// Writes the distance space where chromadb 0.x reads it.
pub(super) fn insert_space(
    connection: &Connection,
    ids: NewIds,
    space: Space,
) -> rusqlite::Result<()> {
    for (table, owner, id) in [
        ("collection_metadata", "collection_id", ids.collection),
        ("segment_metadata", "segment_id", ids.vector_segment),
    ] {
        connection.execute(
            &format!("INSERT INTO {table} ({owner}, key, str_value) VALUES (?1, 'hnsw:space', ?2)"),
            params![id.to_string(), space.name()],
        )?;
    }
    Ok(())
}

/// Copies the metadata rows of one owner to another; the ids are `[from, to]`.
pub(super) fn copy_metadata(
    source: &Connection,
    target: &Connection,
    table: &str,
    owner: &str,
    [from, to]: [Uuid; 2],
) -> rusqlite::Result<()> {
    let mut read = source.prepare(&format!(
        "SELECT key, str_value, int_value, float_value, bool_value FROM {table} WHERE {owner} = ?1"
    ))?;
    let mut write = target.prepare(&format!(
        "INSERT INTO {table} ({owner}, key, str_value, int_value, float_value, bool_value)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    ))?;
    let mut rows = read.query([from.to_string()])?;
    while let Some(row) = rows.next()? {
        write.execute(params![
            to.to_string(),
            row.get::<_, String>(0)?,
            row.get::<_, Option<String>>(1)?,
            row.get::<_, Option<i64>>(2)?,
            row.get::<_, Option<f64>>(3)?,
            row.get::<_, Option<i64>>(4)?,
        ])?;
    }
    Ok(())
}
