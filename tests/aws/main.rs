//! The adapters for AWS over real HTTP, against an emulator: by default MiniStack, which
//! `cargo xtask venvs` installs; any other where `CHROMA_AWS_ENDPOINT` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

mod answers;
mod bad_runs;
mod behaviours;
mod buckets;
mod clocks;
mod cloud;
mod compose;
mod contract;
mod daemon;
mod deployment;
mod doctor;
mod emulator;
#[path = "../cli/ended.rs"]
mod ended;
mod environment;
mod faults;
#[path = "../cli/fixture.rs"]
#[expect(dead_code, reason = "the command line's tests use the rest")]
mod fixture;
mod items;
mod large;
mod legacy;
mod legacy_writer;
#[path = "../cli/logs.rs"]
mod logs;
mod many_runs;
mod names;
#[path = "../cli/not_run.rs"]
mod not_run;
mod patience;
#[path = "../cli/place.rs"]
#[expect(dead_code, reason = "the command line's tests use the rest")]
mod place;
mod producer;
mod proxy;
mod redrive;
#[path = "../cli/set_clock.rs"]
mod set_clock;
mod stalls;
mod storms;
mod stub;
mod table;
mod throttled;
mod wire_dispositions;
