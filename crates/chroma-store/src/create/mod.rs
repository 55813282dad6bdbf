//! Makes empty directories: of one new collection, after a delta of unknown origin, or with the
//! collections of a damaged directory.

mod build;
mod configuration;
mod like;
mod new;
mod salvaged;

pub use build::NewIds;
pub use like::{LikeOptions, create_like, functions_left_out, space_of};
pub use new::{CreateOptions, create};
pub(crate) use salvaged::{Like, create_with};

/// `databases.id` of `default_database`, from Chroma's fourth sysdb migration.
pub(crate) const DEFAULT_DATABASE_ID: &str = "00000000-0000-0000-0000-000000000000";
