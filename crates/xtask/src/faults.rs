//! Every answer of a service that has a place in the table of dispositions, given to whole daemons.

use crate::command::{TaskError, cargo};
use crate::python;

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
