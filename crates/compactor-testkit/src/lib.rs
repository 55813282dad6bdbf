//! Code that several test binaries, benchmarks and fuzz targets share.
//!
//! No crate that is shipped may depend on this one: the tests and benchmarks name it as a dev-dependency, and
//! `fuzz` as a dependency. It does not
//! look for the program under test. Each test binary passes the path in, because Cargo tells it to
//! the tests and benchmarks of the package `chroma-compactor` only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

pub mod cli;
#[cfg(feature = "aws")]
pub mod cloud;
pub mod deadline;
#[cfg(feature = "aws")]
pub mod deployment;
#[cfg(feature = "aws")]
pub mod emulator;
pub mod faketime;
pub mod fixture;
pub mod fuzz;
pub mod index_files;
pub mod not_run;
pub mod process;
pub mod python;
pub mod workspace;
