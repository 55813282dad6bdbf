//! The binary as its users see it: what it prints where, how it exits, what it leaves behind.
//!
//! All output goes through `place::Said`, which also holds what is true of every command: it never
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
mod ended;
mod environment;
mod fixture;
mod hostile;
mod limits;
mod logs;
mod merge;
mod not_run;
mod output;
mod place;
#[path = "../interop/python.rs"]
mod python;
mod quickstart;
mod repair;
mod set_clock;
mod snapshots;
mod stopping;
mod submit;
mod temporary_files;
mod terminal;
mod unread;
mod usage;
