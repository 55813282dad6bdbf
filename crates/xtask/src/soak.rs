//! Runs one daemon under load for a long time.

use crate::command::{TaskError, cargo_with};
use crate::python;

/// Runs the load for `minutes`.
///
/// # Errors
/// An environment cannot be installed, or the benchmark fails.
pub(crate) fn run(minutes: u64) -> Result<(), TaskError> {
    python::install()?;
    let minutes = minutes.to_string();
    let arguments = [
        "bench",
        "--locked",
        "--package",
        "chroma-compactor",
        "--bench",
        "soak",
    ];
    cargo_with(&arguments, &[("SOAK_MINUTES", minutes.as_ref())])
}
