//! Where the tree and the Python environments are.

use std::path::{Path, PathBuf};

/// The top of the tree. Tests run in packages that are two folders below it.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&package).join("../..")
}

/// The folder with the Python environments: `CHROMA_VENVS` if it is set, else the one that
/// `cargo xtask venvs` fills.
pub fn venvs() -> PathBuf {
    let folder = std::env::var_os("CHROMA_VENVS").unwrap_or_else(|| ".venvs".into());
    root().join(folder)
}
