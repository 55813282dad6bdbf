//! The list of guards keeps up with the code: a rename must not leave a guard that can no longer
//! be taken away, or tests that no longer run.

use std::path::Path;

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

/// Tests are named after their modules and functions.
#[test]
fn each_selection_still_names_tests() {
    let mut names = Vec::new();
    for folder in ["crates", "tests"] {
        collect_names(&root().join(folder), &mut names);
    }
    for guard in GUARDS {
        for word in guard.only {
            let is_there = names.iter().any(|name| name.contains(word));
            assert!(is_there, "{}: no test is called `{word}`", guard.what);
        }
    }
}

/// The names of folders, of files without their endings, and of functions below a folder.
fn collect_names(folder: &Path, names: &mut Vec<String>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            names.push(stem);
            collect_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(stem);
            let text = fs_err::read_to_string(&path).unwrap();
            let functions = text.lines().filter_map(|line| {
                let (_, named) = line.split_once("fn ")?;
                Some(named.split('(').next()?.to_owned())
            });
            names.extend(functions);
        }
    }
}
