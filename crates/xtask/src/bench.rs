//! The benchmark: our merge and chromadb's, one after the other, in the same run.

use crate::command::{TaskError, cargo};
use crate::python;

pub(crate) fn run() -> Result<(), TaskError> {
    python::install()?;
    cargo(&[
        "bench",
        "--locked",
        "--package",
        "chroma-compactor",
        "--bench",
        "merge",
    ])
}
