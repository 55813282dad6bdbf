//! Small workspaces in temporary folders, and what the checks find in them.

use std::path::Path;

use tempfile::TempDir;

use super::crates::ALLOWED;
use super::violations;

/// A workspace in a temporary folder, which is removed when it is dropped.
struct Workspace(TempDir);

impl Workspace {
    /// One with the crates of the table, none of which depends on another.
    fn new() -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        for (name, _) in ALLOWED {
            workspace.write(&format!("{name}/Cargo.toml"), "[dependencies]\n");
        }
        workspace
    }

    /// A workspace with one crate that has these sources, by their paths in `src`.
    fn with(sources: &[(&str, &str)]) -> Self {
        let workspace = Self::new();
        for (path, text) in sources {
            workspace.write(&format!("compactor-core/src/{path}"), text);
        }
        workspace
    }

    /// Writes a file below the folder of the crates.
    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join("crates").join(path);
        fs_err::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn violations(&self) -> String {
        violations(self.0.path()).unwrap()
    }
}

#[test]
fn circle_between_siblings_is_found_with_the_lines_that_make_it() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nmod two;\n"),
        ("one.rs", "use crate::two::Two;\npub struct One;\n"),
        ("two.rs", "pub struct Two;\nfn two(_: super::one::One) {}\n"),
    ]);
    let expected = "compactor-core: one, two form a circle:\n  \
         one -> two: crates/compactor-core/src/one.rs:1 uses two::Two\n  \
         two -> one: crates/compactor-core/src/two.rs:2 uses one::One\n";
    assert_eq!(workspace.violations(), expected);
}

#[test]
fn circle_below_a_module_is_found_through_grandchildren() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod top;\n"),
        ("top/mod.rs", "mod one;\nmod two;\n"),
        ("top/one.rs", "mod below;\npub struct One;\n"),
        ("top/one/below.rs", "use crate::top::two::Two;\n"),
        ("top/two.rs", "use super::one::One;\npub struct Two;\n"),
    ]);
    let found = workspace.violations();
    assert!(
        found.starts_with("compactor-core: top::one, top::two form a circle:\n"),
        "{found}"
    );
}

#[test]
fn siblings_that_depend_one_way_form_no_circle() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nmod two;\n"),
        ("one.rs", "use crate::two::Two;\n"),
        ("two.rs", "pub struct Two;\n"),
    ]);
    assert_eq!(workspace.violations(), "");
}

#[test]
fn parent_and_child_form_no_circle() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod parent;\n"),
        (
            "parent/mod.rs",
            "mod child;\nuse child::Child;\npub struct Parent;\n",
        ),
        ("parent/child.rs", "use super::Parent;\npub struct Child;\n"),
    ]);
    assert_eq!(workspace.violations(), "");
}

#[test]
fn re_export_is_followed_to_the_module_that_defines_the_item() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nmod two;\npub use two::Two;\n"),
        ("one.rs", "use crate::Two;\npub struct One;\n"),
        ("two.rs", "use crate::one::One;\npub struct Two;\n"),
    ]);
    let found = workspace.violations();
    assert!(
        found.contains("one -> two: crates/compactor-core/src/one.rs:1 uses Two\n"),
        "{found}"
    );
}

#[test]
fn import_of_another_crate_is_ignored() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nuse serde;\nuse tokio::fs;\n"),
        (
            "one.rs",
            "use crate::serde::Serialize;\nfn one(_: tokio::fs::File) {}\n",
        ),
    ]);
    assert_eq!(workspace.violations(), "");
}

#[test]
fn test_module_is_ignored() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nmod two;\n#[cfg(test)]\nmod tests;\n"),
        (
            "one.rs",
            "pub struct One;\n#[cfg(test)]\nmod tests {\n    use crate::two::Two;\n}\n",
        ),
        ("two.rs", "use crate::one::One;\npub struct Two;\n"),
    ]);
    assert_eq!(workspace.violations(), "");
}

#[test]
fn forbidden_dependency_between_crates_is_named() {
    let workspace = Workspace::new();
    let manifest = "[dependencies]\nserde.workspace = true\ncompactor-core.workspace = true\n\
                    chroma-store.workspace = true\n";
    workspace.write("compactor-local/Cargo.toml", manifest);
    let expected = "compactor-local may not depend on chroma-store\n";
    assert_eq!(workspace.violations(), expected);
}

#[test]
fn crate_that_is_not_in_the_table_is_named() {
    let workspace = Workspace::new();
    workspace.write("new/src/lib.rs", "");
    let expected = "new is missing from the table of allowed dependencies\n";
    assert_eq!(workspace.violations(), expected);
}

#[test]
fn module_inside_a_file_has_its_own_parent() {
    let workspace = Workspace::with(&[
        ("lib.rs", "mod one;\nmod two;\n"),
        (
            "one.rs",
            "mod inner {\n    use super::super::two::Two;\n}\npub struct One;\n",
        ),
        ("two.rs", "use crate::one::One;\npub struct Two;\n"),
    ]);
    let found = workspace.violations();
    assert!(
        found.starts_with("compactor-core: one, two form a circle:\n"),
        "{found}"
    );
}

#[test]
fn dependency_that_only_tests_have_is_allowed() {
    let workspace = Workspace::new();
    let manifest = "[dev-dependencies]\ncompactor-daemon.workspace = true\n";
    workspace.write("compactor-core/Cargo.toml", manifest);
    assert_eq!(workspace.violations(), "");
}
