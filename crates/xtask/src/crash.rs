//! Runs the crash test with more kills than `test` does.

use crate::command::{TaskError, cargo_with};
use crate::python;

/// Kills daemons `kills` times.
///
/// # Errors
/// An environment cannot be installed, or the test fails.
pub(crate) fn run(kills: u64) -> Result<(), TaskError> {
    python::install()?;
    let kills = kills.to_string();
    let arguments = [
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--test",
        "crash",
    ];
    cargo_with(&arguments, &[("CRASH_KILLS", kills.as_ref())])
}
