//! The store as its users see it: what a merge does to records, that bad input changes nothing, and
//! what `close()` guarantees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod archive;
mod bad_base;
mod bad_delta;
mod bad_index;
mod closing;
mod content;
mod directory;
mod extreme_lengths;
mod flush;
mod flush_safety;
mod full_text;
mod killed_processes;
mod large_merges;
mod malicious_databases;
mod mended_damage;
mod model;
mod model_index;
mod orphan_files;
mod rebuild;
mod semantics;
mod vacuum;
