//! Merges deltas of all sizes: a setting that is tuned for the benchmark's size may break another.

use crate::command::{TaskError, cargo, root, run_with};
use crate::python;

/// The version of chromadb that makes the deltas and checks the results.
const VERSION: &str = "chromadb-1.5.9";
const SEED: &str = "97000";

/// Merges deltas of all sizes, and prints a table.
///
/// # Errors
/// The environment cannot be installed, the binary cannot be built, or a result is wrong.
pub(crate) fn run() -> Result<(), TaskError> {
    python::install_one(VERSION)?;
    cargo(&[
        "build",
        "--locked",
        "--release",
        "--package",
        "chroma-compactor",
    ])?;
    let python = python::environment(VERSION).join("bin/python");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let (binary, out) = (
        target.join("release/chroma-compactor"),
        target.join("sweep"),
    );
    let package = root().join("tests/interop");
    run_with(
        python,
        [
            "-B".as_ref(),
            "-m".as_ref(),
            "oracle".as_ref(),
            "sweep".as_ref(),
            "--all".as_ref(),
            "--seed".as_ref(),
            SEED.as_ref(),
            "--binary".as_ref(),
            binary.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ],
        &[("PYTHONPATH", package.as_os_str())],
    )
}
