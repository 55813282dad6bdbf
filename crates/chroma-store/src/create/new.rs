//! Makes a directory with one empty collection.

use std::path::Path;

use super::DEFAULT_DATABASE_ID;
use super::build::{NewIds, Row, build, insert_collection, insert_space};
use super::configuration::configuration;
use crate::collection::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::{FullName, Open, SchemaLevel, Space, Store, StoreResult};

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
