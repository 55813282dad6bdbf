//! A folder to work in, the commands run there, and what they said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::ended;
use crate::logs::Logs;

pub(crate) const FAILURE: i32 = 1;
pub(crate) const USAGE: i32 = 2;
pub(crate) const CONFIGURATION: i32 = 78;

const FOLDER: &str = "work";

/// A folder of one test, the current directory of its commands.
pub(crate) struct Place {
    /// The folder, and the logs beside it.
    outer: TempDir,
    logs: Logs,
}

impl Place {
    pub(crate) fn new() -> Self {
        let outer = tempfile::Builder::new().prefix("cli-").tempdir().unwrap();
        std::fs::create_dir(outer.path().join(FOLDER)).unwrap();
        let logs = Logs::new(outer.path());
        Self { outer, logs }
    }

    /// From now on such things are said at WARN or ERROR.
    pub(crate) fn expects(&self, parts: &[&'static str]) {
        self.logs.expect(parts);
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.outer.path().join(FOLDER).join(name)
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

    /// A command in this place, untouched by the environment of the tests. What it says on standard
    /// error goes to the logs, unless somebody asks for it.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chroma-compactor"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .stderr(self.logs.file());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_of_network = text.to_lowercase().ends_with("_proxy") || text == "AWS_CA_BUNDLE";
            if text.starts_with("CHROMA_COMPACTOR") || text == "RUST_LOG" || is_of_network {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn call<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// As [`Place::say`], by a process that permissions hold for, even if root started it.
    pub(crate) fn say_unprivileged(&self, line: &str) -> Said {
        if !rustix::process::geteuid().is_root() {
            return self.say(line);
        }
        let plain = self.command(line.split_whitespace());
        let mut command = Command::new("setpriv");
        command
            .arg("--bounding-set=-dac_override,-dac_read_search")
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(self.path(""));
        Said::by(&mut command)
    }

    /// The words of `line`, split at blanks.
    pub(crate) fn say(&self, line: &str) -> Said {
        self.call(line.split_whitespace())
    }
}

impl Drop for Place {
    /// What was said that nobody expects fails the test.
    fn drop(&mut self) {
        let unexpected = self.logs.unexpected();
        if !std::thread::panicking() {
            assert!(unexpected.is_empty(), "not expected: {unexpected:#?}");
        }
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
        Self::from(command, output)
    }

    /// The same, with its standard output going somewhere else.
    pub(crate) fn into(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        let output = ended::run_into(command, stdout);
        Self::from(command, output)
    }

    pub(crate) fn from(command: &Command, output: Output) -> Self {
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
