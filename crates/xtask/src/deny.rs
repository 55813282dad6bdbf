//! Checks the licences, sources, duplicates and advisories of dependencies, as `deny.toml` says.

use std::path::PathBuf;

use crate::command::{TaskError, cargo, root, run};

/// The version of cargo-deny that `deny.toml` was tried with. Another one may find more.
const VERSION: &str = "0.20.2";
/// The checks that need no database of advisories.
const POLICY: [&str; 3] = ["licenses", "sources", "bans"];

/// Checks the dependencies; with `advisories`, downloads RustSec's database and checks that, too.
///
/// # Errors
/// cargo-deny cannot be installed, or finds something.
pub(crate) fn check(advisories: bool) -> Result<(), TaskError> {
    let mut arguments = vec!["--locked", "check", "--deny", "warnings"];
    arguments.extend(POLICY);
    if advisories {
        arguments.push("advisories");
    }
    run(install()?, arguments)
}

/// Installs cargo-deny unless it is installed, and returns its path.
fn install() -> Result<PathBuf, TaskError> {
    let folder = root().join(format!(".venvs/cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let root = folder.to_string_lossy();
    // Unoptimised it compiles in a third of the time, and runs for two seconds.
    cargo(&[
        "install",
        "cargo-deny",
        "--version",
        VERSION,
        "--locked",
        "--debug",
        "--quiet",
        "--root",
        &root,
    ])?;
    Ok(program)
}
