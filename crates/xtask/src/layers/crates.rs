//! Which crates of the workspace may depend on which.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::TaskError;

/// Each crate, and those that it may depend on; as drawn in ARCHITECTURE.md.
const MAY_KNOW: [(&str, &[&str]); 8] = [
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
];

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: toml::Table,
}

/// Dependencies between crates of the workspace that the table does not have, a line each. What only
/// tests need is not looked at.
pub(super) fn forbidden(root: &Path) -> Result<String, TaskError> {
    let mut wrong = String::new();
    for (name, may) in MAY_KNOW {
        let text = fs_err::read_to_string(root.join("crates").join(name).join("Cargo.toml"))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|source| TaskError::Manifest {
            name,
            source: Box::new(source),
        })?;
        let own = |other: &&String| MAY_KNOW.iter().any(|(name, _)| name == *other);
        for other in manifest.dependencies.keys().filter(own) {
            if !may.contains(&other.as_str()) {
                let _ = writeln!(wrong, "{name} may not depend on {other}");
            }
        }
    }
    Ok(wrong)
}

/// The crates and the files that they begin with.
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
