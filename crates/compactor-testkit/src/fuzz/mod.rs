//! What the fuzz targets check, one module for each target. Tests run the same checks on the seeds.
//!
//! Each `check` panics if an input leads to anything but a sound result or an error.

pub mod archives;
pub mod configurations;
pub mod index_files;
pub mod manifests;
pub mod messages;
pub mod pickles;
pub mod pointers;
