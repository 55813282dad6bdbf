//! Makes a directory with one empty collection.

use std::path::Path;

use super::DEFAULT_DATABASE_ID;
use super::build::{NewIds, Row, build, insert_collection, insert_space};
use super::configuration::configuration;
use crate::collection::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::{FullName, Open, SchemaLevel, Space, Store, StoreResult};

/// The collection of a new directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// The collection's name. Its database and tenant are chromadb's default ones.
    pub collection: String,
    /// The distance that its searches compare by.
    pub space: Space,
    /// The schema level of the directory. Every chromadb of that level or a later one can open it.
    pub level: SchemaLevel,
}

/// Creates the new directory `dir` with one empty collection, which gets `ids`.
///
/// # Errors
/// `dir` has a database already (`AlreadyExists`), or cannot be written.
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
