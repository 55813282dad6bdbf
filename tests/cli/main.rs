//! The binary as its users see it: its output, its exit codes, and the files that it leaves.
//!
//! All output goes through `compactor_testkit::cli::Said`, which checks of every command that it does not
//! panic and that piped output has no progress bar.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod blocked_log;
mod clean_up;
mod clocks;
mod configuration;
mod copied_data_directory;
mod daemon;
mod directories;
mod doctor;
mod environment;
mod hostile;
mod limits;
mod merge;
mod other_accounts;
mod output;
mod quickstart;
mod repair;
mod shutdown;
mod snapshots;
mod submit;
mod temporary_files;
mod terminal;
mod unwritable_paths;
mod usage;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");
