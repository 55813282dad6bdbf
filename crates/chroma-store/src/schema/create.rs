//! Makes an empty directory: byte-exact migrations, one collection, nothing in it.

use std::path::Path;

use rusqlite::{Connection, params};
use uuid::Uuid;

use md5::{Digest, Md5};

use super::{SchemaLevel, migrations};
use crate::collection::{DEFAULT_DATABASE, DEFAULT_TENANT, METADATA_TYPE, VECTOR_TYPE};
use crate::{
    Collection, DATABASE_NAME, FullName, Open, OpenOptions, Space, Store, StoreError, StoreResult,
    connection,
};

/// `databases.id` of `default_database`, from Chroma's fourth sysdb migration.
pub(crate) const DEFAULT_DATABASE_ID: &str = "00000000-0000-0000-0000-000000000000";
/// Without this row chromadb inserts one that turns purging off for good.
const QUEUE_CONFIG: &str =
    r#"{"automatically_purge":true,"_type":"EmbeddingsQueueConfigurationInternal"}"#;

/// What to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// The collection's name.
    pub collection: String,
    /// Its distance space.
    pub space: Space,
    /// The schema level; the lowest that all readers have is the safest.
    pub level: SchemaLevel,
}

/// Identifiers for a new collection; they come from outside, nothing here is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIds {
    /// Of the collection.
    pub collection: Uuid,
    /// Of its VECTOR segment.
    pub vector_segment: Uuid,
    /// Of its METADATA segment.
    pub metadata_segment: Uuid,
}

/// Creates the new directory `dir` with one empty collection.
///
/// # Errors
/// `dir` holds something already, or cannot be written.
pub fn create(dir: &Path, options: &CreateOptions, ids: NewIds) -> StoreResult<Store<Open>> {
    build(dir, options.level, |connection| {
        let (config, schema) = configuration(options.space, options.level);
        insert_collection(
            connection,
            options.level,
            ids,
            &Row {
                name: FullName {
                    tenant: DEFAULT_TENANT.to_owned(),
                    database: DEFAULT_DATABASE.to_owned(),
                    name: options.collection.clone(),
                },
                database_id: DEFAULT_DATABASE_ID.to_owned(),
                config,
                schema,
            },
        )?;
        match options.level {
            SchemaLevel::L06 => insert_space(connection, ids, options.space),
            _ => Ok(()),
        }
    })
}

/// A collection of another database, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Like {
    pub(crate) collection: Collection,
    pub(crate) database_id: String,
    pub(crate) config: Option<String>,
    pub(crate) schema: Option<String>,
    /// Else it gets the parameters in `collection`.
    pub(crate) has_configuration: bool,
}

/// Creates the new directory `dir` with collections of another database, with names, configuration
/// and metadata as far as they can be read, and no records.
///
/// # Errors
/// As for [`create`].
pub(crate) fn create_with(
    dir: &Path,
    source: &Connection,
    level: SchemaLevel,
    collections: &[(Like, NewIds)],
) -> StoreResult<Store<Open>> {
    build(dir, level, |connection| {
        for (like, ids) in collections {
            let collection = &like.collection;
            let mut row = Row {
                name: collection.name.clone(),
                database_id: like.database_id.clone(),
                config: like.config.clone(),
                schema: like.schema.clone(),
            };
            if !like.has_configuration {
                (row.config, row.schema) = configuration(collection.config.space, level);
            }
            insert_collection(connection, level, *ids, &row)?;
            for (table, owner, from, to) in [
                (
                    "collection_metadata",
                    "collection_id",
                    collection.id,
                    ids.collection,
                ),
                (
                    "segment_metadata",
                    "segment_id",
                    collection.vector_segment,
                    ids.vector_segment,
                ),
            ] {
                // What cannot be read of it is not worth the records.
                let _ = copy_metadata(source, connection, table, owner, [from, to]);
                if !like.has_configuration {
                    let of_graph =
                        format!("DELETE FROM {table} WHERE {owner} = ?1 AND key GLOB 'hnsw:*'");
                    connection.execute(&of_graph, [to.to_string()])?;
                }
            }
            if !like.has_configuration && level == SchemaLevel::L06 {
                insert_space(connection, *ids, collection.config.space)?;
            }
        }
        Ok(())
    })
}

/// The columns of a collection that are carried over verbatim.
pub(super) struct Row {
    pub(super) name: FullName,
    pub(super) database_id: String,
    pub(super) config: Option<String>,
    pub(super) schema: Option<String>,
}

/// What was begun is removed when it cannot be finished.
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
        // The error that counts is the one that is returned.
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

/// The tables of a schema level.
pub(crate) fn tables(level: SchemaLevel) -> rusqlite::Result<Vec<String>> {
    let connection = connection::in_memory()?;
    migrate(&connection, level)?;
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )?;
    names.query_map([], |row| row.get(0))?.collect()
}

fn migrate(connection: &Connection, level: SchemaLevel) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE migrations (
                dir TEXT NOT NULL,
                version INTEGER NOT NULL,
                filename TEXT NOT NULL,
                sql TEXT NOT NULL,
                hash TEXT NOT NULL,
                PRIMARY KEY (dir, version)
            )",
    )?;
    for migration in migrations(level) {
        connection.execute_batch(migration.sql)?;
        connection.execute(
            "INSERT INTO migrations (dir, version, filename, sql, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                migration.dir,
                migration.version,
                migration.file_name,
                migration.sql,
                hex::encode(Md5::digest(migration.sql)),
            ],
        )?;
    }
    Ok(())
}

/// `config_json_str` and `schema_str` as the level's chromadb reads them; never both, which
/// chromadb 1.3 refuses.
fn configuration(space: Space, level: SchemaLevel) -> (Option<String>, Option<String>) {
    let space = space.name();
    match level {
        SchemaLevel::L06 => (None, None),
        SchemaLevel::L10 => {
            let config = format!(
                r#"{{"vector_index":{{"hnsw":{{"space":"{space}","ef_construction":100,"ef_search":100,"max_neighbors":16,"resize_factor":1.2,"sync_threshold":1000}}}},"embedding_function":{{"type":"legacy"}}}}"#
            );
            (Some(config), None)
        }
        SchemaLevel::L13 | SchemaLevel::L15 => (Some("{}".to_owned()), Some(schema_str(space))),
    }
}

/// The schema that chromadb 1.3 and later store for a collection with default index parameters.
fn schema_str(space: &str) -> String {
    let hnsw = r#"{"ef_construction":100,"max_neighbors":16,"ef_search":100,"batch_size":100,"sync_threshold":1000,"resize_factor":1.2}"#;
    let vector_index = |enabled: bool, source: &str| {
        format!(
            r#"{{"vector_index":{{"enabled":{enabled},"config":{{"space":"{space}","embedding_function":{{"type":"legacy"}},{source}"hnsw":{hnsw}}}}}}}"#
        )
    };
    let string = |fts: bool, inverted: bool| {
        format!(
            r#"{{"fts_index":{{"enabled":{fts},"config":{{}}}},"string_inverted_index":{{"enabled":{inverted},"config":{{}}}}}}"#
        )
    };
    let number = |kind: &str| {
        format!(r#""{kind}":{{"{kind}_inverted_index":{{"enabled":true,"config":{{}}}}}}"#)
    };
    let sparse = r#"{"sparse_vector_index":{"enabled":false,"config":{"embedding_function":{"type":"unknown"},"bm25":false}}}"#;
    format!(
        r##"{{"defaults":{{"string":{},"float_list":{},"sparse_vector":{sparse},{},{},{}}},"keys":{{"#document":{{"string":{}}},"#embedding":{{"float_list":{}}}}}}}"##,
        string(false, true),
        vector_index(false, ""),
        number("int"),
        number("float"),
        number("bool"),
        string(true, false),
        vector_index(true, r##""source_key":"#document","##),
    )
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

/// Writes the space where chromadb 0.x reads it from.
fn insert_space(connection: &Connection, ids: NewIds, space: Space) -> rusqlite::Result<()> {
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

/// Copies the rows of one owner to another; ids are `[from, to]`.
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
