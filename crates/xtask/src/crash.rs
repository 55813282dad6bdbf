//! Killing daemons, more often than the tests do.

use crate::command::{TaskError, cargo_with};
use crate::python;

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
