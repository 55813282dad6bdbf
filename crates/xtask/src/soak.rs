//! A long time under load.

use crate::command::{TaskError, cargo_with};
use crate::python;

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
