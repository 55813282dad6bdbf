//! The Python side, in `tests/aws/legacy`: a compactor as the old system has it, a reader, and the
//! parsers of items, with real chromadb.

use std::process::{Command, Stdio};

use compactor_testkit::cli::Workdir;
use compactor_testkit::process;
use compactor_testkit::python::interpreter;
use compactor_testkit::workspace::root;
use serde_json::Value;

use crate::deployment::Deployment;

/// One record as a Python reader has it.
#[derive(Debug, PartialEq, serde::Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) document: Option<String>,
    pub(crate) metadata: Option<serde_json::Map<String, Value>>,
    pub(crate) embedding: Vec<f32>,
}

impl Deployment {
    /// `python -m legacy` with these words, at `endpoint`.
    pub(crate) fn legacy_at(&self, endpoint: &str, line: &str) -> Command {
        self.python(&format!("-m legacy {line} --endpoint {endpoint}"))
    }

    /// Python with chromadb and these words.
    fn python(&self, line: &str) -> Command {
        python_in(&self.place, line)
    }

    /// A cycle of the Python compactor; `queue` is the one that it listens to.
    pub(crate) fn legacy_cycle(&self, endpoint: &str, queue: &str, more: &str) -> Command {
        let options = &self.cloud.options;
        let line = format!(
            "cycle --bucket {} --table {} --queue-url {queue} --collection words {more}",
            options.bucket, options.table
        );
        self.legacy_at(endpoint, &line)
    }

    /// What a Python reader finds in the published snapshot.
    pub(crate) fn read_by_python(&self, collection: &str) -> Vec<Record> {
        let bucket = &self.cloud.options.bucket;
        let line = format!("read --bucket {bucket} --collection {collection} --out read.json");
        said(&mut self.legacy_at(crate::emulator::endpoint(), &line));
        let text = std::fs::read_to_string(self.place.path("read.json")).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(found["records"].clone()).unwrap()
    }

    /// Every lock and run of the table, as the Python entities parse them.
    pub(crate) fn entities(&self) -> Value {
        let line = format!("entities --table {}", self.cloud.options.table);
        said(&mut self.legacy_at(crate::emulator::endpoint(), &line))
    }
}

/// Python with chromadb and these words.
pub(crate) fn python_in(place: &Workdir, line: &str) -> Command {
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

/// Runs Python to its end.
pub(crate) fn python_runs(deployment: &Deployment, line: &str) {
    let output = process::run(&mut deployment.python(line));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
}

/// What a command of it says, which is one line of JSON.
pub(crate) fn said(command: &mut Command) -> Value {
    let output = process::run(command);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
}
