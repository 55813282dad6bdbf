//! Gives whole daemons every answer of a service that the table of dispositions has.

use crate::command::{TaskError, cargo};
use crate::python;

/// Runs the tests that `test` leaves out because they take long.
///
/// # Errors
/// An environment cannot be installed, or a test fails.
pub(crate) fn run() -> Result<(), TaskError> {
    python::install()?;
    cargo(&[
        "test",
        "--package",
        "chroma-compactor",
        "--all-features",
        "--locked",
        "--test",
        "aws",
        "faults::",
        "--",
        "--ignored",
        "--test-threads=4",
    ])
}
