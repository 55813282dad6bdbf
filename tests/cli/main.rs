//! The binary as its users see it: what it prints where, how it exits, what it leaves behind.
//!
//! All output goes through `testkit::cli::Said`, which also checks what holds for every command: it never
//! panics, and what is piped has no progress bar in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod accounts;
mod clean_up;
mod clocks;
mod configuration;
mod copied;
mod daemon;
mod directories;
mod disk;
mod doctor;
mod environment;
mod hostile;
mod limits;
mod merge;
mod output;
mod quickstart;
mod repair;
mod snapshots;
mod stopping;
mod submit;
mod temporary_files;
mod terminal;
mod unread;
mod usage;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");
