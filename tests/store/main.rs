//! The store as its users see it: what a merge does to records, what bad input does to nothing,
//! and what `close()` guarantees.
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
mod crafted;
mod directory;
mod flush;
mod flush_safety;
mod full_text;
mod killed;
mod lengths;
mod mended;
mod model;
mod model_index;
mod orphans;
mod rebuild;
mod semantics;
mod sizes;
mod vacuum;
