//! A Python reader that reads without pause.

use std::process::{Child, Stdio};

use compactor_testkit::deployment::legacy::python_in;
use compactor_testkit::process::ended;
use serde_json::Value;

use crate::testbed::Testbed;

/// Reads until it is asked for its findings.
pub(crate) struct Reader<'s> {
    testbed: &'s Testbed,
    process: Child,
}

/// What a reader found.
pub(crate) struct Findings {
    /// The number of reads.
    pub(crate) reads: u64,
    /// The number of different versions that it read.
    pub(crate) versions: u64,
    /// The records of the last read.
    pub(crate) records: Value,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(testbed: &'s Testbed, collection: &str) -> Self {
        let line = format!(
            "-m legacy watch {} --collection {collection} --runs runs --out records.json",
            testbed.source()
        );
        let mut command = python_in(testbed.place(), &line);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        Self { testbed, process }
    }

    /// Whether the reader still runs; it ends at the first wrong finding.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Reads once more.
    pub(crate) fn findings(mut self) -> Findings {
        drop(self.process.stdin.take());
        let output = ended(self.process);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{stdout}\n{stderr}");
        let said: Value = serde_json::from_str(stdout.trim()).unwrap();
        let records = std::fs::read(self.testbed.place().path("records.json")).unwrap();
        Findings {
            reads: said["reads"].as_u64().unwrap(),
            versions: said["versions"].as_u64().unwrap(),
            records: serde_json::from_slice(&records).unwrap(),
        }
    }
}
