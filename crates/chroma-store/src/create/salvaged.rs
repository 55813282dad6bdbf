//! Makes an empty directory with the collections of a damaged one.

use std::path::Path;

use rusqlite::Connection;

use super::build::{NewIds, Row, build, copy_metadata, insert_collection, insert_space};
use super::configuration::configuration;
use crate::{Collection, Open, SchemaLevel, Store, StoreResult};

/// A collection of a damaged database, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Like {
    pub(crate) collection: Collection,
    pub(crate) database_id: String,
    pub(crate) config: Option<String>,
    pub(crate) schema: Option<String>,
    /// `false`: the new collection gets the parameters in `collection`.
    pub(crate) has_configuration: bool,
}

/// Creates the new directory `dir` with the collections of a damaged database and without their
/// records. Names, configuration and metadata are copied as far as they can be read.
///
/// # Errors
/// As for [`create`](super::create()).
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
                // Records matter more than metadata that cannot be read.
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
