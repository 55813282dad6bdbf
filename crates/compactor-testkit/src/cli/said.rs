//! The output and exit code of a command, with assertions for tests.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::logs::Logs;
use crate::process;

/// The output of a command that has ended.
pub struct Said {
    /// The exit code; none if a signal ended the process.
    pub exit: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    command: String,
}

impl Said {
    /// Runs the command to its end.
    pub fn by(command: &mut Command) -> Self {
        let output = process::run(command);
        Self::from(command, output)
    }

    /// Runs the command to its end, with its standard output going to `stdout`.
    pub fn into(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        let output = process::run_into(command, stdout);
        Self::from(command, output)
    }

    /// The output of `command`, whose current directory is that of a [`Workdir`](super::Workdir).
    /// Its standard error goes to the logs there.
    pub fn from(command: &Command, output: Output) -> Self {
        let said = Self {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            command: format!("{command:?}"),
        };
        let folder = command.get_current_dir().unwrap();
        Logs::keep(folder, &said.stderr);
        assert!(!said.stderr.contains("panicked"), "{said}");
        // Bars are drawn with carriage returns, escapes and, for the spinner, Braille.
        let drawn = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
        let braille = |letter: char| ('\u{2800}'..='\u{28ff}').contains(&letter);
        let all = said.stdout.chars().chain(said.stderr.chars());
        assert!(
            !all.clone().any(|letter| drawn(letter) || braille(letter)),
            "{said}"
        );
        said
    }

    /// Fails the test unless the command exited with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, Some(code), "{self}");
        self
    }

    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Standard output as JSON. Fails the test unless the command succeeded and printed JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let said = self.succeeds();
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Fails the test unless the command exited with `exit` and printed nothing on standard output,
    /// and `code` and a help line on standard error.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Self {
        let said = self.exits(exit);
        assert_eq!(said.stdout, "", "{said}");
        assert!(
            said.stderr.lines().any(|line| line.trim() == code),
            "{said}"
        );
        assert!(said.stderr.contains("\n  help: "), "{said}");
        said
    }

    /// Fails the test unless the command exited with `exit` and printed nothing on standard output,
    /// and one JSON object with `code`, a message and help on standard error.
    #[track_caller]
    pub fn fails_in_json(self, exit: i32, code: &str) -> Self {
        let said = self.exits(exit);
        assert_eq!(said.stdout, "", "{said}");
        let value: Value = serde_json::from_str(&said.stderr)
            .unwrap_or_else(|error| panic!("standard error is not one object: {error}: {said}"));
        assert_eq!(value["error"]["code"], code, "{said}");
        for key in ["message", "help"] {
            let text = value["error"][key].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{key}: {said}");
        }
        said
    }

    /// Fails the test unless standard error contains all `parts`.
    #[track_caller]
    pub fn naming(self, parts: &[&str]) -> Self {
        // Long messages are broken into lines.
        let flat = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let flat = flat.replace(" │ ", " ");
        for part in parts {
            assert!(flat.contains(part), "{part:?} is missing: {self}");
        }
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nexit {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.exit, self.stdout, self.stderr
        )
    }
}
