//! The benchmarks: our work and that of others, one after the other, in the same run.

use clap::ValueEnum;

use crate::command::{TaskError, cargo};
use crate::python;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A whole merge, against chromadb's get and upsert.
    Merge,
    /// Building and extending a graph, against other indexes.
    Index,
    /// Whole cycles over an emulator, against a Python compactor.
    Cloud,
    /// Memory while flushing into a large graph.
    Memory,
}

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
