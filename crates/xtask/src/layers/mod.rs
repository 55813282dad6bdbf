//! Which code may know which: modules of a crate form no circle, and crates depend on each other as
//! ARCHITECTURE.md says. Nothing is compiled; the sources are read.

mod arrows;
mod crates;
mod paths;
mod tree;

use std::fmt::Write as _;

use crate::command::{TaskError, root};

use arrows::{Circle, circles};
use tree::Tree;

/// Fails, and names every circle and every forbidden arrow, if there are some.
pub(crate) fn check() -> Result<(), TaskError> {
    let mut wrong = crates::forbidden(&root())?;
    for (name, entry) in crates::entries(&root())? {
        let tree = Tree::read(&entry)?;
        for Circle { modules, examples } in circles(&tree) {
            let _ = writeln!(wrong, "{name}: {} form a circle:", modules.join(", "));
            for example in examples {
                let _ = writeln!(wrong, "  {example}");
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Layers(wrong)),
    }
}
