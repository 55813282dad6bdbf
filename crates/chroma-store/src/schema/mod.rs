//! Chroma's schema levels: recognising them, and making an empty directory at one of them.

mod create;
mod level;
mod like;
mod migrations;

pub use create::{CreateOptions, NewIds, create};
pub(crate) use create::{DEFAULT_DATABASE_ID, Like, create_with, tables};
pub use level::SchemaLevel;
pub(crate) use level::{detect, level_of_columns};
pub(crate) use like::refuse_large_configurations;
pub use like::{LikeOptions, create_like, functions_left_out, space_of};
pub(crate) use migrations::migrations;
