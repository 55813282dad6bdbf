//! Virtual environments with pinned chromadb versions, one each: real chromadb is the tests'
//! oracle.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::{TaskError, root, run, run_with};

/// The versions under test; each has a lock file in `tests/requirements`.
const VERSIONS: [&str; 6] = ["0.4.24", "0.5.23", "0.6.3", "1.0.21", "1.3.3", "1.5.9"];
/// The emulator of S3, SQS and DynamoDB that needs nothing but Python.
const EMULATOR: &str = "ministack";
/// Gives processes clocks that tests set.
const CLOCKS: &str = "faketime";
/// Installs the others.
const INSTALLER: &str = "uv";
const STAMP: &str = "installed-from";

/// Other indexes that the benchmark compares with; the second is compiled for this machine.
const PEERS: [&str; 2] = ["index-peers", "index-peers-native"];

/// Where an environment is; tests look for it there as well.
pub(crate) fn environment(name: &str) -> PathBuf {
    root().join(".venvs").join(name)
}

/// Makes the environments that tests need: the chromadb versions, the emulator, and the clocks.
pub(crate) fn install() -> Result<(), TaskError> {
    let versions = VERSIONS.map(|version| format!("chromadb-{version}"));
    let others = [EMULATOR, CLOCKS].map(str::to_owned);
    install_all(versions.into_iter().chain(others))
}

/// Makes the environments of the other indexes; the native one needs a C++ compiler.
pub(crate) fn install_peers() -> Result<(), TaskError> {
    install_all(PEERS.map(str::to_owned))
}

/// Makes one environment.
pub(crate) fn install_one(name: &str) -> Result<(), TaskError> {
    install_all([name.to_owned()])
}

/// Makes what is missing or was made from another lock file.
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

/// Makes an environment with this interpreter, if it is missing or of another lock file.
pub(crate) fn install_with(python: &Path, name: &str) -> Result<(), TaskError> {
    if is_installed(name)? {
        return Ok(());
    }
    make(python, &environment(name), &lock_file(name))?;
    stamp(name)
}

/// Says that the environment is complete, and which lock file it was made from.
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
    // What is compiled here is compiled with pinned tools, and for this machine: a wheel in a cache
    // outside the tree may come from another one. Tests write no bytecode, so it is made now.
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

/// What installs all others: it keeps what several environments share once, on as many cores as
/// there are.
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

/// The lock files are for Python 3.11. The whole path of one, for a name alone could be another
/// interpreter to uv.
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
