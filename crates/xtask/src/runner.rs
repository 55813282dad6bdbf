//! Runs the tests: with cargo-nextest if it is installed, because it runs several test binaries side by side
//! and ends tests that hang; otherwise with `cargo test`.

use std::process::{Command, Stdio};

use crate::command::{TaskError, cargo, cargo_with};
use crate::phases::{NOT_RUN, not_run_file};

/// Which features cargo builds with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// All features: one build serves nearly every call.
    Whole,
    /// The binary without the adapters for AWS, as README's first command builds it. Every other crate has
    /// the features of the whole build, so that none is built twice.
    WithoutAws,
}

impl Build {
    /// The arguments of cargo for this build.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Whole => &["--locked", "--workspace", "--all-features"],
            Self::WithoutAws => &[
                "--locked",
                "--workspace",
                "--no-default-features",
                "--features",
                "compactor-aws/sso,compactor-core/fakes,chroma-store/fuzzing,compactor-testkit/aws",
            ],
        }
    }
}

/// The program that runs tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    /// Finds out whether cargo-nextest is installed.
    pub(crate) fn find() -> Self {
        let found = Command::new("cargo-nextest")
            .args(["nextest", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match found.is_ok_and(|status| status.success()) {
            true => Self::Nextest,
            false => Self::Cargo,
        }
    }

    fn verb(self) -> &'static [&'static str] {
        match self {
            Self::Nextest => &["nextest", "run"],
            Self::Cargo => &["test"],
        }
    }

    fn arguments<'a>(self, build: Build, targets: &[&'a str]) -> Vec<&'a str> {
        [self.verb(), build.arguments(), targets].concat()
    }

    /// Builds the tests of `targets`.
    ///
    /// # Errors
    /// They cannot be built.
    pub(crate) fn build(self, build: Build, targets: &[&str]) -> Result<(), TaskError> {
        let mut arguments = self.arguments(build, targets);
        arguments.push("--no-run");
        cargo(&arguments)
    }

    /// Runs the tests of `targets` whose names contain one of `names`; all of them if `names` is empty.
    ///
    /// # Errors
    /// A test fails, or they cannot be built.
    pub(crate) fn test(
        self,
        build: Build,
        targets: &[&str],
        names: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<(), TaskError> {
        let mut arguments = self.arguments(build, targets);
        if !names.is_empty() {
            arguments.push("--");
            arguments.extend(names);
        }
        let not_run = not_run_file();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .chain([(NOT_RUN, not_run.as_os_str())])
            .collect();
        cargo_with(&arguments, &environment)
    }
}
