//! The interpreters with the pinned chromadb versions, and the oracle that they run.

use std::path::PathBuf;
use std::process::Command;

use crate::workspace::{root, venvs};

/// The interpreter with this version of chromadb, as an absolute path.
pub fn interpreter(version: &str) -> PathBuf {
    let python = venvs().join(format!("chromadb-{version}/bin/python"));
    assert!(
        python.is_file(),
        "{} is missing: run `cargo xtask test`, which installs chromadb {version} there",
        python.display(),
    );
    // Not resolved: a virtual environment is found by where its interpreter's link is.
    std::path::absolute(&python).unwrap()
}

/// That interpreter in `tests/interop`, where `oracle` can be imported. Neither it nor the
/// interpreters that the oracle starts write bytecode.
pub fn for_oracle(version: &str) -> Command {
    let mut command = Command::new(interpreter(version));
    command
        .current_dir(root().join("tests/interop"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
