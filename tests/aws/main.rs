//! The adapters for AWS over real HTTP, against an emulator: by default MiniStack, which
//! `cargo xtask venvs` installs; any other where `CHROMA_AWS_ENDPOINT` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

mod bad_connections;
mod bad_runs;
mod behaviours;
mod buckets;
mod clocks;
mod compose;
mod contract;
mod daemon;
mod doctor;
mod environment;
mod faults;
mod items;
mod large;
mod legacy_writer;
mod many_runs;
mod proxy;
mod redrive;
mod service_errors;
mod slow_objects;
mod stub;
mod table;
mod throttling;
mod unreachable_services;
mod wire_dispositions;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");
