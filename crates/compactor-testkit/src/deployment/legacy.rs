//! The Python side of a deployment, in `tests/aws/legacy`: a compactor and a reader as the old system
//! has them, and the parsers of items, with real chromadb.

use std::process::{Command, Stdio};

use crate::cli::Workdir;
use crate::process;
use crate::python::interpreter;
use crate::workspace::root;
use serde_json::Value;

use super::Deployment;

/// One record of a collection, as a Python reader gets it.
#[derive(Debug, PartialEq, serde::Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its document, if it has one.
    pub document: Option<String>,
    /// Its metadata, if it has any.
    pub metadata: Option<serde_json::Map<String, Value>>,
    /// Its vector.
    pub embedding: Vec<f32>,
}

impl Deployment {
    /// `python -m legacy` with the words of `line`, and the services at `endpoint`.
    pub fn legacy_at(&self, endpoint: &str, line: &str) -> Command {
        self.python(&format!("-m legacy {line} --endpoint {endpoint}"))
    }

    /// Python with chromadb in the working directory.
    fn python(&self, line: &str) -> Command {
        python_in(&self.place, line)
    }

    /// A cycle of the Python compactor for `words`, which receives from `queue`; `more` has further
    /// arguments.
    pub fn legacy_cycle(&self, endpoint: &str, queue: &str, more: &str) -> Command {
        let options = &self.cloud.options;
        let line = format!(
            "cycle --bucket {} --table {} --queue-url {queue} --collection words {more}",
            options.bucket, options.table
        );
        self.legacy_at(endpoint, &line)
    }

    /// The records that a Python reader finds in the published snapshot of `collection`.
    pub fn read_by_python(&self, collection: &str) -> Vec<Record> {
        let bucket = &self.cloud.options.bucket;
        let line = format!("read --bucket {bucket} --collection {collection} --out read.json");
        said(&mut self.legacy_at(crate::emulator::endpoint(), &line));
        let text = std::fs::read_to_string(self.place.path("read.json")).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(found["records"].clone()).unwrap()
    }

    /// Every lock and run of the table, as the Python classes parse them.
    pub fn entities(&self) -> Value {
        let line = format!("entities --table {}", self.cloud.options.table);
        said(&mut self.legacy_at(crate::emulator::endpoint(), &line))
    }
}

/// Python with chromadb 1.5.9 in this working directory; its arguments are the words of `line`.
pub fn python_in(place: &Workdir, line: &str) -> Command {
    let mut command = Command::new(interpreter("1.5.9"));
    command
        .args(line.split_whitespace())
        .current_dir(place.path(""))
        .env("PYTHONPATH", root().join("tests/aws"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::null());
    command
}

/// Runs Python in the working directory of `deployment` to its end, and fails the test unless it
/// succeeds.
pub fn python_runs(deployment: &Deployment, line: &str) {
    let output = process::run(&mut deployment.python(line));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
}

/// Runs a Python command to its end. Gives the JSON on the last line of its standard output.
pub fn said(command: &mut Command) -> Value {
    let output = process::run(command);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
}
