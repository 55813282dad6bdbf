//! Checks the dependencies between the crates of the workspace.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::TaskError;

/// Each crate, and the crates that it may depend on, as ARCHITECTURE.md draws it.
pub(super) const ALLOWED: [(&str, &[&str]); 10] = [
    ("hnsw-graph", &[]),
    ("chroma-store", &["hnsw-graph"]),
    ("compactor-core", &[]),
    ("compactor-snapshots", &["chroma-store", "compactor-core"]),
    (
        "compactor-daemon",
        &["chroma-store", "compactor-core", "compactor-snapshots"],
    ),
    ("compactor-local", &["compactor-core"]),
    ("compactor-aws", &["compactor-core"]),
    (
        "chroma-compactor",
        &[
            "chroma-store",
            "compactor-aws",
            "compactor-core",
            "compactor-daemon",
            "compactor-local",
            "compactor-snapshots",
        ],
    ),
    // Nothing may depend on it but tests.
    (
        "compactor-testkit",
        &[
            "chroma-store",
            "compactor-aws",
            "compactor-core",
            "compactor-daemon",
            "compactor-local",
            "compactor-snapshots",
        ],
    ),
    ("xtask", &[]),
];

/// A Cargo.toml. The dependencies that only tests have are not checked.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: toml::Table,
}

/// A text with a line for each crate and each dependency that `ALLOWED` lacks; empty if there is none. Crates
/// from outside of the workspace do not count.
///
/// # Errors
/// A manifest, or the folder of the crates, cannot be read.
pub(super) fn forbidden(root: &Path) -> Result<String, TaskError> {
    let mut wrong = String::new();
    for (name, _) in entries(root)? {
        if !ALLOWED.iter().any(|(known, _)| *known == name) {
            let _ = writeln!(
                wrong,
                "{name} is missing from the table of allowed dependencies"
            );
        }
    }
    for (name, allowed) in ALLOWED {
        let text = fs_err::read_to_string(root.join("crates").join(name).join("Cargo.toml"))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|source| TaskError::Manifest {
            name,
            source: Box::new(source),
        })?;
        let own = |other: &&String| ALLOWED.iter().any(|(name, _)| name == *other);
        for other in manifest.dependencies.keys().filter(own) {
            if !allowed.contains(&other.as_str()) {
                let _ = writeln!(wrong, "{name} may not depend on {other}");
            }
        }
    }
    Ok(wrong)
}

/// The crates of the workspace, by name, and the root file of each: its `lib.rs` or `main.rs`.
///
/// # Errors
/// The folder of the crates cannot be read.
pub(super) fn entries(root: &Path) -> Result<Vec<(String, PathBuf)>, TaskError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(root.join("crates"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let source = entry.path().join("src");
        let files = ["lib.rs", "main.rs"].map(|file| source.join(file));
        found.extend(
            files
                .into_iter()
                .find(|file| file.is_file())
                .map(|file| (name, file)),
        );
    }
    found.sort();
    Ok(found)
}
