//! A folder to work in, the commands run there, and what they said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::ended;

pub(crate) const FAILURE: i32 = 1;
pub(crate) const USAGE: i32 = 2;
pub(crate) const CONFIGURATION: i32 = 78;

/// A folder of one test, the current directory of its commands.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cli-").tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// What is in `folder`, hidden things too.
    pub(crate) fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A command in this place, untouched by the environment of the tests.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chroma-compactor"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CHROMA_COMPACTOR") || text == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn call<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// The words of `line`, split at blanks.
    pub(crate) fn say(&self, line: &str) -> Said {
        self.call(line.split_whitespace())
    }
}

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

impl Said {
    pub(crate) fn by(command: &mut Command) -> Self {
        let output = ended::run(command);
        Self::from(format!("{command:?}"), output)
    }

    /// The same, with its standard output going somewhere else.
    pub(crate) fn into(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        let output = ended::run_into(command, stdout);
        Self::from(format!("{command:?}"), output)
    }

    pub(crate) fn from(command: String, output: Output) -> Self {
        let said = Self {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            command,
        };
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

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, Some(code), "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// The result, of a command that was asked for JSON and succeeded.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let said = self.succeeds();
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Nothing on standard output; code and a help line on standard error.
    #[track_caller]
    pub(crate) fn fails(self, exit: i32, code: &str) -> Self {
        let said = self.exits(exit);
        assert_eq!(said.stdout, "", "{said}");
        assert!(
            said.stderr.lines().any(|line| line.trim() == code),
            "{said}"
        );
        assert!(said.stderr.contains("\n  help: "), "{said}");
        said
    }

    /// Nothing on standard output; one JSON object with the code on standard error.
    #[track_caller]
    pub(crate) fn fails_in_json(self, exit: i32, code: &str) -> Self {
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

    /// Names all `parts` on standard error.
    #[track_caller]
    pub(crate) fn naming(self, parts: &[&str]) -> Self {
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
