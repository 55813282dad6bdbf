//! Runs all checks that a change must pass.

use std::thread;

use crate::command::{TaskError, cargo};
use crate::emulator::{self, ENDPOINT};
use crate::localstack::{self, Extent, LocalStack};
use crate::phases::{Phases, tell_not_run};
use crate::runner::{Build, Runner};
use crate::{deny, deploy, layers, python};

const TARGETS: [&str; 3] = ["--lib", "--bins", "--tests"];
/// The target that differs without the adapters for AWS.
const WITHOUT_AWS: [&str; 2] = ["--bin", "chroma-compactor"];

/// Runs all checks, and prints how long each took and what was not run.
///
/// # Errors
/// A check fails. Later ones are not run then.
pub(crate) fn run() -> Result<(), TaskError> {
    tell_not_run(|| {
        let mut phases = Phases::new();
        let outcome = run_all(&mut phases);
        eprint!("{}", phases.table());
        outcome
    })
}

fn run_all(phases: &mut Phases) -> Result<(), TaskError> {
    let runner = Runner::find();
    phases.time("format", || cargo(&["fmt", "--all", "--check"]))?;
    phases.time("layers", layers::check)?;
    phases.time("linters of deployments", deploy::lint)?;
    phases.time("dependencies", || deny::check(false))?;
    let localstack = thread::scope(|scope| {
        // Installing mostly downloads, so the compiler can use the cores meanwhile.
        let environments = scope.spawn(install);
        let compiled = phases
            .time("clippy", lint)
            .and_then(|()| phases.time("build of the tests", || build(runner)));
        let installed = phases.time("rest of the environments", || {
            environments.join().unwrap_or(Err(TaskError::Panicked))
        });
        if let (Err(_), Err(error)) = (&compiled, &installed) {
            eprintln!("error: {error}");
        }
        compiled.and(installed)
    })?;
    phases.time("tests", || test(runner))?;
    if let Some(localstack) = localstack {
        phases.time("tests against LocalStack", || {
            localstack.test(runner, Extent::Differences)
        })?;
    }
    phases.time("doc tests", || {
        cargo(&[&["test", "--doc"], Build::Whole.arguments()].concat())
    })
}

/// Installs everything that tests need besides what cargo builds.
fn install() -> Result<Option<LocalStack>, TaskError> {
    python::install()?;
    localstack::install()
}

/// Runs clippy on all targets, benchmarks included.
fn lint() -> Result<(), TaskError> {
    for build in [Build::Whole, Build::WithoutAws] {
        let deny = ["--", "-D", "warnings"];
        let all = [&["clippy", "--all-targets"], build.arguments(), &deny].concat();
        cargo(&all)?;
    }
    Ok(())
}

fn build(runner: Runner) -> Result<(), TaskError> {
    runner.build(Build::WithoutAws, &WITHOUT_AWS)?;
    runner.build(Build::Whole, &TARGETS)
}

/// Runs all tests, with one emulator for all of them.
fn test(runner: Runner) -> Result<(), TaskError> {
    runner.test(Build::WithoutAws, &WITHOUT_AWS, &["settings::"], &[])?;
    let emulator = emulator::ministack()?;
    let environment = [(ENDPOINT, emulator.endpoint.as_str())];
    runner.test(Build::Whole, &TARGETS, &[], &environment)
}
