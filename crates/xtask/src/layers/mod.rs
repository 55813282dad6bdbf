//! Checks which code depends on which: the modules of a crate may form no circle, and crates may depend on
//! each other only as ARCHITECTURE.md draws it. It reads the sources, and compiles nothing.

mod circles;
mod crates;
mod paths;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt::Write as _;
use std::path::Path;

use crate::command::{TaskError, root};

use circles::{Circle, circles};
use tree::Tree;

/// Checks the whole workspace.
///
/// # Errors
/// Modules form a circle, or a crate has a forbidden dependency: the error names all of them. A source or a
/// manifest cannot be read.
pub(crate) fn check() -> Result<(), TaskError> {
    let wrong = violations(&root())?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Layers(wrong)),
    }
}

/// A text that names every circle and every forbidden dependency of the workspace at `root`; empty if there
/// is none. Its paths start at `root`.
fn violations(root: &Path) -> Result<String, TaskError> {
    let mut wrong = crates::forbidden(root)?;
    for (name, entry) in crates::entries(root)? {
        let tree = Tree::read(&entry)?;
        for circle in circles(&tree) {
            let Circle {
                modules,
                dependencies,
            } = circle;
            let _ = writeln!(wrong, "{name}: {} form a circle:", modules.join(", "));
            for dependency in dependencies {
                let _ = writeln!(wrong, "  {dependency}");
            }
        }
    }
    Ok(wrong.replace(&format!("{}/", root.display()), ""))
}
