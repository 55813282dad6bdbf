//! Removes guards, one at a time, from a copy of the tree. The tests named for a guard must pass with it, and
//! at least one of them must fail without it. `docs/reliability.md` has the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{TaskError, root};

mod list;
#[cfg(test)]
mod tests;

use list::{GUARDS, Guard};

/// Tries all guards, or those of one invariant such as `I3`.
///
/// # Errors
/// No test notices that a guard is missing, or a guard cannot be tried. The error names all of them.
pub(crate) fn run(invariant: Option<&str>) -> Result<(), TaskError> {
    let tree = root().join("target/guards");
    copy_tree(&tree)?;
    let (mut unnoticed, mut sound) = (Vec::new(), BTreeSet::new());
    let guards = GUARDS
        .iter()
        .filter(|guard| invariant.is_none_or(|wanted| guard.invariant == wanted));
    for guard in guards {
        let (invariant, what) = (guard.invariant, guard.what);
        match try_one(guard, &tree, &mut sound) {
            Ok(Cases { ran, failed }) => {
                eprintln!("{invariant} {what}: {failed} of {ran} tests failed");
                if failed == 0 {
                    unnoticed.push(what.to_owned());
                }
            }
            // An error of one guard does not keep the others from being tried.
            Err(error) => {
                eprintln!("{invariant} {what}: {error}");
                unnoticed.push(error.to_string());
            }
        }
    }
    match unnoticed.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Unnoticed(unnoticed.join("; "))),
    }
}

/// Test targets, and words of which a test's name must contain one.
type Selection = (&'static [&'static str], &'static [&'static str]);

/// Tries one guard. `sound` are the selections of tests that are known to pass with all guards in place: a
/// test that fails anyway proves nothing.
fn try_one(
    guard: &Guard,
    tree: &Path,
    sound: &mut BTreeSet<Selection>,
) -> Result<Cases, TaskError> {
    let selection = (guard.targets, guard.only);
    if !sound.contains(&selection) {
        if test(guard, tree)?.failed > 0 {
            return Err(TaskError::FailsAnyway(guard.what));
        }
        sound.insert(selection);
    }
    try_without(guard, tree)
}

/// Copies the files that git tracks, with their uncommitted changes.
fn copy_tree(to: &Path) -> Result<(), TaskError> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).current_dir(root());
    let listed = git.output()?.stdout;
    let names = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    for name in names {
        let name = PathBuf::from(String::from_utf8_lossy(name).into_owned());
        let (from, to) = (root().join(&name), to.join(&name));
        if let Some(folder) = to.parent() {
            fs_err::create_dir_all(folder)?;
        }
        // An unchanged file keeps its time, so that cargo does not build it again.
        let body = fs_err::read(from)?;
        if fs_err::read(&to).ok().as_ref() != Some(&body) {
            fs_err::write(to, body)?;
        }
    }
    Ok(())
}

/// Runs the guard's tests on code without it, and puts it back.
fn try_without(guard: &Guard, tree: &Path) -> Result<Cases, TaskError> {
    let path = tree.join(guard.file);
    let sound = fs_err::read_to_string(&path)?;
    if sound.matches(guard.code).count() != 1 {
        return Err(TaskError::NoGuard {
            file: guard.file,
            code: guard.code,
        });
    }
    fs_err::write(&path, sound.replace(guard.code, guard.without))?;
    let outcome = test(guard, tree);
    fs_err::write(&path, sound)?;
    outcome
}

/// How many tests ran, and how many of them failed.
#[derive(Debug, Default, Clone, Copy)]
struct Cases {
    ran: u64,
    failed: u64,
}

impl Cases {
    /// Adds up lines of cargo test such as `test result: FAILED. 8 passed; 1 failed; 0 ignored`.
    fn of(said: &str) -> Self {
        let mut cases = Self::default();
        for line in said
            .lines()
            .filter(|line| line.starts_with("test result: "))
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                let count = pair[0].parse().unwrap_or(0);
                match pair[1] {
                    "passed;" => cases.ran += count,
                    "failed;" => {
                        cases.ran += count;
                        cases.failed += count;
                    }
                    _ => {}
                }
            }
        }
        cases
    }
}

/// Runs the guard's tests. It is an error if they cannot be built or if none runs: that proves nothing.
fn test(guard: &Guard, tree: &Path) -> Result<Cases, TaskError> {
    let mut build = cargo(guard, tree);
    build.arg("--no-run");
    if !build.status()?.success() {
        return Err(TaskError::NotBuilt(guard.what));
    }
    let mut test = cargo(guard, tree);
    let output = test
        .arg("--no-fail-fast")
        .arg("--")
        .args(guard.only)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    for line in said.lines().filter(|line| line.starts_with("    ")) {
        eprintln!("{line}");
    }
    let cases = Cases::of(&said);
    match cases.ran > 0 && output.status.success() == (cases.failed == 0) {
        true => Ok(cases),
        false => Err(TaskError::NotBuilt(guard.what)),
    }
}

fn cargo(guard: &Guard, tree: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["test", "--workspace", "--all-features", "--locked"])
        .args(guard.targets)
        // A target directory of its own: code without a guard must not be mistaken for the tree's.
        .env("CARGO_TARGET_DIR", tree.join("target"))
        .current_dir(tree);
    command
}
