//! Starts the benchmarks. Each measures this program and others one after the other, in the same run.

use clap::ValueEnum;

use crate::command::{TaskError, cargo};
use crate::python;

/// What a benchmark measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A whole merge, compared with chromadb's get and upsert.
    Merge,
    /// Building and extending a graph, compared with other indexes. Needs a C++ compiler.
    Index,
    /// Whole cycles over an emulator, compared with a Python compactor.
    Cloud,
    /// The memory that flushing into a large graph takes.
    Memory,
}

/// Installs what the benchmark needs, and runs it.
///
/// # Errors
/// An environment cannot be installed, or the benchmark fails.
pub(crate) fn run(subject: Subject) -> Result<(), TaskError> {
    python::install()?;
    if subject == Subject::Index {
        python::install_peers()?;
    }
    let name = match subject {
        Subject::Merge => "merge",
        Subject::Index => "index",
        Subject::Cloud => "cloud",
        Subject::Memory => "memory",
    };
    cargo(&[
        "bench",
        "--locked",
        "--package",
        "chroma-compactor",
        "--bench",
        name,
    ])
}
