//! Installs virtual environments from lock files: one for each chromadb version that the tests compare with,
//! and one for each tool.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::{TaskError, root, run, run_with};

/// The chromadb versions under test. Each has a lock file in `tests/requirements`.
const VERSIONS: [&str; 6] = ["0.4.24", "0.5.23", "0.6.3", "1.0.21", "1.3.3", "1.5.9"];
/// An emulator of S3, SQS and DynamoDB that needs only Python.
const EMULATOR: &str = "ministack";
/// libfaketime, which gives processes clocks that tests set.
const CLOCKS: &str = "faketime";
/// uv, which installs the other environments.
const INSTALLER: &str = "uv";
/// The file in an environment that says it is complete: it has the SHA-256 of the lock file.
const STAMP: &str = "installed-from";

/// Other indexes that the benchmark compares with. The second one is compiled for this machine.
const PEERS: [&str; 2] = ["index-peers", "index-peers-native"];

/// The folder of an environment. Tests look there, too.
pub(crate) fn environment(name: &str) -> PathBuf {
    root().join(".venvs").join(name)
}

/// Installs the environments that tests need: the chromadb versions, the emulator, and libfaketime.
///
/// # Errors
/// Python 3.11 is missing, or a package cannot be installed.
pub(crate) fn install() -> Result<(), TaskError> {
    let versions = VERSIONS.map(|version| format!("chromadb-{version}"));
    let others = [EMULATOR, CLOCKS].map(str::to_owned);
    install_all(versions.into_iter().chain(others))
}

/// Installs the environments of the other indexes. The native one needs a C++ compiler.
///
/// # Errors
/// Python 3.11 is missing, or a package cannot be installed.
pub(crate) fn install_peers() -> Result<(), TaskError> {
    install_all(PEERS.map(str::to_owned))
}

/// Installs one environment.
///
/// # Errors
/// Python 3.11 is missing, or a package cannot be installed.
pub(crate) fn install_one(name: &str) -> Result<(), TaskError> {
    install_all([name.to_owned()])
}

/// Installs each environment that is missing, or that has another lock file.
fn install_all(names: impl IntoIterator<Item = String>) -> Result<(), TaskError> {
    let mut python = None;
    for name in names {
        if is_installed(&name)? {
            continue;
        }
        let python = match &python {
            Some(found) => found,
            None => python.insert(find_python()?),
        };
        install_with(python, &name)?;
    }
    Ok(())
}

fn lock_file(name: &str) -> PathBuf {
    root().join(format!("tests/requirements/{name}.txt"))
}

fn digest(lock: &Path) -> Result<String, TaskError> {
    Ok(hex::encode(Sha256::digest(fs_err::read(lock)?)))
}

fn is_installed(name: &str) -> Result<bool, TaskError> {
    let stamp = fs_err::read_to_string(environment(name).join(STAMP));
    let digest = digest(&lock_file(name))?;
    Ok(stamp.is_ok_and(|stamp| stamp == digest))
}

/// Installs an environment for this interpreter, if it is missing or has another lock file.
///
/// # Errors
/// A package cannot be installed.
pub(crate) fn install_with(python: &Path, name: &str) -> Result<(), TaskError> {
    if is_installed(name)? {
        return Ok(());
    }
    make(python, &environment(name), &lock_file(name))?;
    stamp(name)
}

/// Marks the environment as complete.
fn stamp(name: &str) -> Result<(), TaskError> {
    let digest = digest(&lock_file(name))?;
    Ok(fs_err::write(environment(name).join(STAMP), digest)?)
}

fn make(python: &Path, folder: &Path, lock: &Path) -> Result<(), TaskError> {
    let uv = install_uv()?;
    let cache = environment("cache");
    let cache = [("UV_CACHE_DIR", cache.as_os_str())];
    run_with(
        &uv,
        [
            "venv".as_ref(),
            "--quiet".as_ref(),
            "--clear".as_ref(),
            "--python".as_ref(),
            python.as_os_str(),
            folder.as_os_str(),
        ],
        &cache,
    )?;
    // Packages are compiled with pinned tools for this machine: a cache outside the tree may have a wheel for
    // another one. Tests write no bytecode, so it is made here.
    run_with(
        &uv,
        [
            "pip".as_ref(),
            "install".as_ref(),
            "--quiet".as_ref(),
            "--no-deps".as_ref(),
            "--compile-bytecode".as_ref(),
            "--python".as_ref(),
            folder.as_os_str(),
            "--build-constraints".as_ref(),
            lock.as_os_str(),
            "--requirements".as_ref(),
            lock.as_os_str(),
        ],
        &cache,
    )
}

/// Installs uv, which uses all cores and stores packages that several environments share once.
fn install_uv() -> Result<PathBuf, TaskError> {
    let (folder, lock) = (environment(INSTALLER), lock_file(INSTALLER));
    let program = folder.join("bin/uv");
    if is_installed(INSTALLER)? {
        return Ok(program);
    }
    let python = find_python()?;
    run(
        python,
        [
            "-m".as_ref(),
            "venv".as_ref(),
            "--clear".as_ref(),
            folder.as_os_str(),
        ],
    )?;
    run(
        folder.join("bin/python"),
        [
            "-m".as_ref(),
            "pip".as_ref(),
            "install".as_ref(),
            "--quiet".as_ref(),
            "--disable-pip-version-check".as_ref(),
            "--no-deps".as_ref(),
            "--requirement".as_ref(),
            lock.as_os_str(),
        ],
    )?;
    stamp(INSTALLER)?;
    Ok(program)
}

/// The full path of a Python 3.11, which the lock files are for. uv could take a name alone for another
/// interpreter.
fn find_python() -> Result<PathBuf, TaskError> {
    let check =
        "import sys; print(sys.executable) if sys.version_info[:2] == (3, 11) else sys.exit(1)";
    ["python3.11", "python3", "python"]
        .into_iter()
        .filter_map(|name| Command::new(name).args(["-c", check]).output().ok())
        .find(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
        .ok_or(TaskError::NoPython)
}
