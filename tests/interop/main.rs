//! The store against real chromadb: what a merge makes, chromadb must not be able to tell from
//! what it would have made itself. The oracle is `oracle/`, run by five pinned chromadb versions.
//!
//! Every case is fixed by its seed; `CHROMA_INTEROP_SEED=N` adds N to all of them. A failure
//! prints the seed and the commands that repeat it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod across_versions;
mod case;
mod created;
mod damage;
mod databases_and_tenants;
mod default_threshold;
mod deleted_vectors;
mod embedding_functions;
mod flushed;
mod info;
mod many_collections;
mod odd;
mod refused_values;
mod same_version;
mod session;
mod sweep;
mod texts;
