//! Runs other programs, and the errors of all chores.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use thiserror::Error;

/// Why a chore failed.
#[derive(Debug, Error)]
pub(crate) enum TaskError {
    #[error("`{command}` cannot be started: {source}")]
    Start {
        command: String,
        source: std::io::Error,
    },
    #[error("`{command}` failed ({status})")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
    },
    #[error(
        "none of python3.11, python3 and python is Python 3.11; install it, or put it first in PATH"
    )]
    NoPython,
    #[error("installing the environments of the tests panicked; the lines above say where")]
    Panicked,
    #[error("{program} does not answer after two minutes; read its log: {log}", log = log.display())]
    Silent { program: &'static str, log: PathBuf },
    #[error("{program} ended before it answered; read its log: {log}", log = log.display())]
    Ended { program: &'static str, log: PathBuf },
    #[error("no test notices that these are missing: {0}")]
    Unnoticed(String),
    #[error("{file} does not contain `{code}` exactly once: the list of guards is out of date")]
    NoGuard {
        file: &'static str,
        code: &'static str,
    },
    #[error(
        "the tests for \"{0}\" cannot be built, did not run, or ended with no count of failures"
    )]
    NotBuilt(&'static str),
    #[error("the tests for \"{0}\" fail although the guard is in place")]
    FailsAnyway(&'static str),
    #[error("{file} cannot be parsed: {source}", file = file.display())]
    Unparsed { file: PathBuf, source: syn::Error },
    #[error("Cargo.toml of {name} cannot be read: {source}")]
    Manifest {
        name: &'static str,
        source: Box<toml::de::Error>,
    },
    #[error("modules or crates depend on each other as they must not:\n{0}")]
    Layers(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The top of the tree that cargo was called in. It may differ from the tree that was compiled, since trees
/// that share a target directory share this program, too.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.join("../..").components().collect()
}

/// Runs a program at the top of the tree, and shows its output.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn run<I, S>(program: impl AsRef<OsStr>, arguments: I) -> Result<(), TaskError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    run_with(program, arguments, &[])
}

/// Runs a program at the top of the tree with additional environment variables.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn run_with<I, S>(
    program: impl AsRef<OsStr>,
    arguments: I,
    environment: &[(&str, &OsStr)],
) -> Result<(), TaskError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root());
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("==> {shown}");
    let status = command.status().map_err(|source| TaskError::Start {
        command: shown.clone(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(TaskError::Failed {
            command: shown,
            status,
        })
    }
}

/// Runs the cargo that runs this program.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), TaskError> {
    cargo_with(arguments, &[])
}

/// Runs cargo with additional environment variables.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn cargo_with(
    arguments: &[&str],
    environment: &[(&str, &OsStr)],
) -> Result<(), TaskError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run_with(cargo, arguments, environment)
}
