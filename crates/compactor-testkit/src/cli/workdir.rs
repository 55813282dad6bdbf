//! A folder of one test, and commands that work there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::logs::Logs;
use super::said::Said;

const FOLDER: &str = "work";

/// The current directory of one test's commands. When it is dropped, lines at WARN or ERROR that the
/// test does not expect fail the test.
pub struct Workdir {
    program: &'static str,
    /// The folder, and the logs beside it.
    outer: TempDir,
    logs: Logs,
}

impl Workdir {
    /// An empty directory for commands of `program`: `env!("CARGO_BIN_EXE_chroma-compactor")`.
    pub fn new(program: &'static str) -> Self {
        let outer = tempfile::Builder::new().prefix("cli-").tempdir().unwrap();
        std::fs::create_dir(outer.path().join(FOLDER)).unwrap();
        let logs = Logs::new(outer.path());
        Self {
            program,
            outer,
            logs,
        }
    }

    /// From now on, lines at WARN or ERROR that contain one of these `parts` do not fail the test.
    pub fn expects(&self, parts: &[&'static str]) {
        self.logs.expect(parts);
    }

    /// The path of `name` in this folder; of the folder itself if `name` is empty.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.outer.path().join(FOLDER).join(name)
    }

    /// Writes `text` to the file `name`.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The names in `folder`, hidden ones too, sorted.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A command that works here, without the variables of the tests' environment that would change
    /// what it does. Its standard error goes to the logs, unless the caller redirects it.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(self.program);
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

    /// Runs a command with these arguments to its end.
    pub fn call<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// As [`Workdir::say`], by a process that file permissions hold for, even if root runs the test.
    pub fn say_unprivileged(&self, line: &str) -> Said {
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

    /// Runs a command to its end. Its arguments are the words of `line`, split at blanks.
    pub fn say(&self, line: &str) -> Said {
        self.call(line.split_whitespace())
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        let unexpected = self.logs.unexpected();
        if !std::thread::panicking() {
            assert!(unexpected.is_empty(), "not expected: {unexpected:#?}");
        }
    }
}
