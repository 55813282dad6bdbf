//! Collects the log lines of the program, so that an unexpected line at WARN or ERROR fails the test.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The name of the file, beside the folder in which the binary works.
const NAME: &str = "said.log";

/// The lines of all processes that work in one folder.
pub struct Logs {
    path: PathBuf,
    expected: Mutex<Vec<&'static str>>,
}

impl Logs {
    /// Keeps the lines of processes that work in a folder right below `outer`.
    pub fn new(outer: &Path) -> Self {
        Self {
            path: outer.join(NAME),
            expected: Mutex::default(),
        }
    }

    /// A file to append lines to. Several processes may write: each line stays in one piece.
    pub fn file(&self) -> File {
        opened(&self.path)
    }

    /// Adds `text`, which a process that works in `folder` wrote.
    pub fn keep(folder: &Path, text: &str) {
        let mut file = opened(&folder.parent().unwrap().join(NAME));
        file.write_all(text.as_bytes()).unwrap();
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").unwrap();
        }
    }

    /// From now on, lines that contain one of these `parts` are expected.
    pub fn expect(&self, parts: &[&'static str]) {
        self.expected.lock().unwrap().extend(parts);
    }

    /// The lines at WARN or ERROR, and of panics, that are not expected.
    pub fn unexpected(&self) -> Vec<String> {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let expected = self.expected.lock().unwrap();
        String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| is_serious(line))
            .filter(|line| !expected.iter().any(|part| line.contains(part)))
            .map(str::to_owned)
            .collect()
    }
}

fn opened(path: &Path) -> File {
    let mut options = File::options();
    options.create(true).append(true).open(path).unwrap()
}

/// Whether the line is of a panic, or at WARN or ERROR in a log that is text or JSON.
fn is_serious(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let starts_with_time = words.next().is_some_and(|word| word.ends_with('Z'));
    let level = words.next().unwrap_or_default();
    starts_with_time && ["WARN", "ERROR"].contains(&level)
        || line.contains(r#""level":"WARN""#)
        || line.contains(r#""level":"ERROR""#)
        || line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serious_log_line_that_is_not_expected_is_reported() {
        let outer = tempfile::tempdir().unwrap();
        let logs = Logs::new(outer.path());
        logs.expect(&["a good reason"]);
        let lines = [
            "2026-01-01T00:00:00.000000Z  INFO daemon: all is well",
            "2026-01-01T00:00:00.000000Z  WARN daemon: it failed for a good reason",
            "2026-01-01T00:00:00.000000Z ERROR daemon: it failed",
            r#"{"timestamp":"2026-01-01T00:00:00.000000Z","level":"ERROR","fields":{}}"#,
            "an ERROR line, quoted in a message",
            "thread 'main' panicked at main.rs:1:1:",
        ];
        // `keep` adds the line break that these lines lack.
        for line in lines {
            Logs::keep(&outer.path().join("work"), line);
        }
        assert_eq!(logs.unexpected(), [lines[2], lines[3], lines[5]]);
    }
}
