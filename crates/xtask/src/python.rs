//! Virtual environments with pinned chromadb versions, one each: real chromadb is the tests'
//! oracle.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::{TaskError, root, run, run_with};

/// The versions under test; each has a lock file in `tests/requirements`.
const VERSIONS: [&str; 5] = ["0.5.23", "0.6.3", "1.0.21", "1.3.3", "1.5.9"];
/// The emulator of S3, SQS and DynamoDB that needs nothing but Python.
const EMULATOR: &str = "ministack";
/// Gives processes clocks that tests set.
const CLOCKS: &str = "faketime";
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
        install_with(Path::new(python), &name)?;
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
    let (folder, lock) = (environment(name), lock_file(name));
    make(python, &folder, &lock)?;
    fs_err::write(folder.join(STAMP), digest(&lock)?)?;
    Ok(())
}

fn make(python: &Path, folder: &Path, lock: &Path) -> Result<(), TaskError> {
    run(
        python,
        [
            "-m".as_ref(),
            "venv".as_ref(),
            "--clear".as_ref(),
            folder.as_os_str(),
        ],
    )?;
    // What is compiled here is compiled with pinned tools, and for this machine: a wheel in the
    // cache may come from another one.
    run_with(
        folder.join("bin/python"),
        [
            "-m".as_ref(),
            "pip".as_ref(),
            "install".as_ref(),
            "--quiet".as_ref(),
            "--disable-pip-version-check".as_ref(),
            "--no-deps".as_ref(),
            "-r".as_ref(),
            lock.as_os_str(),
        ],
        &[
            ("PIP_CONSTRAINT", lock.as_os_str()),
            ("PIP_NO_CACHE_DIR", "1".as_ref()),
        ],
    )
}

/// The lock files are for Python 3.11.
fn find_python() -> Result<String, TaskError> {
    let check = "import sys; sys.exit(sys.version_info[:2] != (3, 11))";
    ["python3.11", "python3", "python"]
        .into_iter()
        .find(|name| {
            Command::new(name)
                .args(["-c", check])
                .status()
                .is_ok_and(|status| status.success())
        })
        .map(str::to_owned)
        .ok_or(TaskError::NoPython)
}
