//! The cycle from end to end: real deltas go in as messages, a daemon runs until the queue is
//! empty, and what it published is read back as a reader would.
//!
//! Nearly every test runs twice: over the deterministic fakes, and over the local backend in a
//! temporary directory. `world` is what a test stands on; the modules below it are one idea each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[macro_use]
mod world;

mod archive;
mod clock;
mod content;
mod deltas;
mod dispositions;
mod hooks;
mod logs;
mod objects;
mod process;
mod records;
mod sabotage;
mod unchanged;
mod undeleted;
mod wire;

mod admission;
mod bad_runs;
mod batching;
mod budget;
mod clean_up;
mod collections;
mod competition;
mod crash;
mod crowded;
mod cut_off;
mod damaged_base;
mod damaged_index;
mod duplicates;
mod figures;
mod first_delta;
mod first_use;
mod flushing;
mod in_flight;
mod kept;
mod lease;
mod legacy;
mod loose;
mod lost_pointer;
mod messages;
mod odd_records;
mod only_bad;
mod overwritten;
mod panics;
mod port_faults;
mod same_content;
mod shrunk;
mod simulation;
mod stopping;
mod submitting;
mod successor;
mod swap_faults;
mod trouble;
mod unrecorded;
mod winding_down;
