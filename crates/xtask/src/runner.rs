//! What runs the tests: cargo-nextest where it is installed, because it runs those of several
//! binaries side by side and ends what hangs; cargo's own otherwise.

use std::process::{Command, Stdio};

use crate::command::{TaskError, cargo, cargo_with};
use crate::phases::{NOT_RUN, not_run_file};

/// What cargo is to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Everything: one build serves nearly every call.
    Whole,
    /// The binary without the adapters for AWS, as README's first command builds it; every other
    /// crate as in the whole build, so that none is built twice.
    WithoutAws,
}

impl Build {
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Whole => &["--locked", "--workspace", "--all-features"],
            Self::WithoutAws => &[
                "--locked",
                "--workspace",
                "--no-default-features",
                "--features",
                "compactor-aws/sso,compactor-core/fakes,chroma-store/fuzzing",
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

    /// Builds the tests of these targets.
    pub(crate) fn build(self, build: Build, targets: &[&str]) -> Result<(), TaskError> {
        let mut arguments = self.arguments(build, targets);
        arguments.push("--no-run");
        cargo(&arguments)
    }

    /// Runs the tests of these targets: those whose names contain one of `names`, or all.
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
