//! Chroma's schema levels: which migrations make up each of them, and which one a database has.

mod level;
mod migrations;

pub use level::SchemaLevel;
pub(crate) use level::{detect, level_of_columns};
pub(crate) use migrations::{migrate, migrations, tables};
