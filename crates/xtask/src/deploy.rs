//! What deployments are made from, checked by linters.

use crate::command::{TaskError, run};
use crate::python::{environment, install_one};

const NAME: &str = "deploy-lint";
/// As the other lines of the tree.
const LINE: &str = "100";

/// Checks Dockerfile, compose file and scripts.
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
