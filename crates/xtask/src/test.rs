//! Everything that must pass before a change lands.

use crate::command::{TaskError, cargo};
use crate::{deploy, localstack, python};

pub(crate) fn run() -> Result<(), TaskError> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])?;
    deploy::lint()?;
    python::install()?;
    // Benchmarks are built with the other targets by clippy, and run by `cargo xtask bench`.
    cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--locked",
        "--lib",
        "--bins",
        "--tests",
    ])?;
    localstack::test()?;
    cargo(&["test", "--workspace", "--all-features", "--locked", "--doc"])
}
