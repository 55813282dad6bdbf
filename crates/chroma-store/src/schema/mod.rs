//! Chroma's schema levels: recognising them, and making an empty directory at one of them.

mod create;
mod level;
mod migrations;

pub use create::{CreateOptions, NewIds, create, create_like};
pub(crate) use create::{DEFAULT_DATABASE_ID, Like, create_with, tables};
pub use level::SchemaLevel;
pub(crate) use level::{detect, level_of_columns};
pub(crate) use migrations::migrations;
