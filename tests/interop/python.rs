//! Where the interpreters with the pinned chromadb versions are. The tests of the command line
//! use this file too.

use std::path::{Path, PathBuf};

/// The interpreter with this version of chromadb: below `CHROMA_VENVS` if that is set, else where
/// `cargo xtask venvs` puts it.
pub(crate) fn interpreter(version: &str) -> PathBuf {
    let workspace = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    let folder = std::env::var_os("CHROMA_VENVS").unwrap_or_else(|| ".venvs".into());
    let python = workspace
        .join(folder)
        .join(format!("chromadb-{version}/bin/python"));
    assert!(
        python.is_file(),
        "{} is missing: run `cargo xtask test`, which installs chromadb {version} there",
        python.display(),
    );
    // Not resolved: a virtual environment is found by where its interpreter's link is.
    std::path::absolute(&python).unwrap()
}
