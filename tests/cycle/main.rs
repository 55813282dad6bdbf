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
mod unchanged_files;
mod undeletable_messages;
mod wire;

mod admission;
mod bad_batches;
mod bad_runs;
mod batching;
mod budget;
mod busy_collections;
mod clean_up;
mod collections;
mod competition;
mod corrupted_transfers;
mod crash;
mod damaged_base;
mod damaged_index;
mod disconnection;
mod duplicates;
mod failing_collection;
mod first_delta;
mod first_versions;
mod flushing;
mod idempotence;
mod lease;
mod legacy;
mod loose_objects;
mod lost_pointer;
mod lost_swap_answers;
mod lost_updates;
mod messages;
mod odd_records;
mod other_database;
mod panics;
mod port_faults;
mod run_counts;
mod shrunk_snapshots;
mod shutdown;
mod simulation;
mod status;
mod stopping;
mod submitting;
mod swap_faults;
mod unwritable_records;
mod working_copies;
