//! Lints the files that deployments are made from.

use crate::command::{TaskError, run};
use crate::python::{environment, install_one};

const NAME: &str = "deploy-lint";
/// The longest line, in characters, as in the other files of the tree.
const LINE: &str = "100";

/// Lints the Dockerfile, the compose file and the scripts in deploy/.
///
/// # Errors
/// The linters cannot be installed, or one finds something.
pub(crate) fn lint() -> Result<(), TaskError> {
    install_one(NAME)?;
    let program = |name: &str| environment(NAME).join("bin").join(name);
    run(program("hadolint"), ["Dockerfile"])?;
    run(
        program("check-jsonschema"),
        [
            "--builtin-schema",
            "vendor.compose-spec",
            "docker-compose.yml",
        ],
    )?;
    run(program("ruff"), ["check", "--line-length", LINE, "deploy"])?;
    run(
        program("ruff"),
        ["format", "--check", "--line-length", LINE, "deploy"],
    )
}
