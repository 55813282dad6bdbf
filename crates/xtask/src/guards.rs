//! Taking guards away, one at a time, in a copy of the tree: of the tests that are named for each,
//! and which pass with it, one at least must fail. A guard whose absence no test notices is none.
//! `docs/reliability.md` has the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{TaskError, root};

mod list;
#[cfg(test)]
mod tests;

use list::{GUARDS, Guard};

/// Tries all guards, or those of one invariant (`I3`).
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
            // The others can be tried all the same.
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

/// Test targets, and words in the names of tests.
type Selection = (&'static [&'static str], &'static [&'static str]);

/// `sound` are selections of tests that pass while nothing is taken away: what fails anyway notices
/// nothing.
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

/// What git knows of, as it is now.
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
        // What did not change keeps its time, and is not built again.
        let body = fs_err::read(from)?;
        if fs_err::read(&to).ok().as_ref() != Some(&body) {
            fs_err::write(to, body)?;
        }
    }
    Ok(())
}

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
    /// Adds up lines such as `test result: FAILED. 8 passed; 1 failed; 0 ignored`.
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

/// Code that cannot be built proves nothing, nor do tests that are not there.
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
        // Of its own: what is built without a guard must not be taken for the tree's.
        .env("CARGO_TARGET_DIR", tree.join("target"))
        .current_dir(tree);
    command
}
