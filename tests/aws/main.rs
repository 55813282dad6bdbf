//! The adapters for AWS over real HTTP, against an emulator: by default MiniStack, which
//! `cargo xtask venvs` installs; any other where `CHROMA_AWS_ENDPOINT` says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

mod cloud;
mod contract;
mod emulator;
