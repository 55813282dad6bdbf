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
mod crowd;
mod damage;
mod flushed;
mod ghosts;
mod info;
mod larger;
mod leak;
mod odd;
mod places;
mod refused;
mod same_version;
mod session;
mod sweep;
mod texts;
