//! Running other programs.

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
        "Python 3.11 is needed; none of python3.11, python3, python is one. Install it, or put it first in PATH"
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
    #[error("{file} does not have `{code}` once: the list of guards is out of date")]
    NoGuard {
        file: &'static str,
        code: &'static str,
    },
    #[error("for \"{0}\" the tests cannot be built, do not run, or end in another way")]
    NotBuilt(&'static str),
    #[error("the tests for \"{0}\" fail although nothing was taken away")]
    FailsAnyway(&'static str),
    #[error("{file} cannot be parsed: {source}", file = file.display())]
    Unparsed { file: PathBuf, source: syn::Error },
    #[error("Cargo.toml of {name}: {source}")]
    Manifest {
        name: &'static str,
        source: Box<toml::de::Error>,
    },
    #[error("the layers are broken:\n{0}")]
    Layers(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The top of the tree that cargo was called in. Not the one that was compiled: trees that share a
/// target directory share this program too.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.join("../..").components().collect()
}

/// Runs a program at the top of the tree, its output shown.
pub(crate) fn run<I, S>(program: impl AsRef<OsStr>, arguments: I) -> Result<(), TaskError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    run_with(program, arguments, &[])
}

/// Runs a program at the top of the tree with additions to its environment.
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

/// Runs cargo, the one that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), TaskError> {
    cargo_with(arguments, &[])
}

/// Runs cargo with additions to its environment.
pub(crate) fn cargo_with(
    arguments: &[&str],
    environment: &[(&str, &OsStr)],
) -> Result<(), TaskError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run_with(cargo, arguments, environment)
}
