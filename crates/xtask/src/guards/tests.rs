//! Checks that the code and the tests of every guard in the list still exist.

use std::path::{Path, PathBuf};

use super::list::GUARDS;
use crate::command::root;

#[test]
fn each_guard_occurs_exactly_once_in_its_file() {
    for guard in GUARDS {
        let text = fs_err::read_to_string(root().join(guard.file)).unwrap();
        let count = text.matches(guard.code).count();
        assert_eq!(count, 1, "{}: `{}`", guard.file, guard.code);
    }
}

/// A test's full name has the names of its modules and of its function.
#[test]
fn each_selection_of_a_guard_names_tests() {
    for guard in GUARDS {
        let mut names = Vec::new();
        for target in guard.targets {
            collect_target(target, &mut names);
        }
        for word in guard.only {
            let is_there = names.iter().any(|name| name.contains(word));
            assert!(is_there, "{}: no test is called `{word}`", guard.what);
        }
    }
}

/// Collects the names of the tests of a target: of `--lib`, or of a test binary at the top or in a crate.
fn collect_target(target: &str, names: &mut Vec<String>) {
    let crates = fs_err::read_dir(root().join("crates")).unwrap();
    let crates: Vec<PathBuf> = crates.map(|entry| entry.unwrap().path()).collect();
    let places: Vec<PathBuf> = match target {
        "--test" => return,
        "--lib" => crates.iter().map(|path| path.join("src")).collect(),
        name => crates
            .iter()
            .map(|path| path.join("tests"))
            .chain([root().join("tests")])
            .flat_map(|tests| [tests.join(name), tests.join(format!("{name}.rs"))])
            .collect(),
    };
    for place in places.iter().filter(|place| place.exists()) {
        collect_names(place, names);
    }
}

/// Collects the names of folders and files that have tests, and of the functions in them.
fn collect_names(path: &Path, names: &mut Vec<String>) {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    if path.is_dir() {
        names.push(stem);
        for entry in fs_err::read_dir(path).unwrap() {
            collect_names(&entry.unwrap().path(), names);
        }
        return;
    }
    let text = fs_err::read_to_string(path).unwrap();
    // `both!` makes two tests of a function.
    let has_tests = ["#[test]", "#[tokio::test", "both!("];
    if has_tests.iter().any(|mark| text.contains(mark)) {
        names.push(stem);
        let functions = text.lines().filter_map(|line| {
            let (_, named) = line.split_once("fn ")?;
            Some(named.split('(').next()?.to_owned())
        });
        names.extend(functions);
    }
}
