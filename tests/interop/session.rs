//! Runs the oracle and the binary for one test, and says how to repeat it when it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use compactor_testkit::python::{for_oracle, interpreter};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");

/// `python -m oracle` for each list of arguments; marks the last line that each one prints.
const MANY: &str = r#"
import contextlib, io, json, sys
from oracle.__main__ import main
for arguments in json.loads(sys.argv[1]):
    sys.argv, said = ["oracle", *arguments], io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            code = main()
    finally:
        print(said.getvalue(), end="")
    if code:
        sys.exit(code)
    print("DONE", said.getvalue().splitlines()[-1], flush=True)
"#;

/// A folder, a seed, and all commands so far.
pub(crate) struct Session {
    folder: TempDir,
    seed: u64,
    commands: Vec<String>,
}

impl Session {
    pub(crate) fn new(seed: u64) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("interop-")
            .tempdir()
            .unwrap();
        let added = std::env::var("CHROMA_INTEROP_SEED").map_or(0, |text| {
            text.parse().expect("CHROMA_INTEROP_SEED is a number")
        });
        let commands = vec![format!("mkdir -p {}", quote(folder.path()))];
        Self {
            folder,
            seed: seed + added,
            commands,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A place in the session's folder.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// Runs the oracle; the JSON on the last line of its output.
    pub(crate) fn oracle(&mut self, version: &str, arguments: &[&str]) -> Value {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        self.oracle_all(&[(version, arguments)]).remove(0)
    }

    /// Runs the oracle once per version and arguments. Importing chromadb is what takes long, so
    /// one interpreter performs all that follow each other with the same version.
    pub(crate) fn oracle_all(&mut self, steps: &[(&str, Vec<String>)]) -> Vec<Value> {
        let same = |left: &(&str, _), right: &(&str, _)| left.0 == right.0;
        let groups = steps.chunk_by(same);
        groups.flat_map(|group| self.oracle_group(group)).collect()
    }

    fn oracle_group(&mut self, group: &[(&str, Vec<String>)]) -> Vec<Value> {
        let python = interpreter(group[0].0);
        for (_, arguments) in group {
            let words: Vec<_> = arguments.iter().map(|word| quote(word.as_ref())).collect();
            self.commands.push(format!(
                "(cd tests/interop && {} -B -m oracle {})",
                quote(&python),
                words.join(" "),
            ));
        }
        let lines: Vec<_> = group.iter().map(|(_, arguments)| arguments).collect();
        let output = for_oracle(group[0].0)
            .args(["-c", MANY, &serde_json::to_string(&lines).unwrap()])
            .output()
            .unwrap_or_else(|error| self.fail(&error.to_string()));
        let text = String::from_utf8_lossy(&output.stdout);
        let told = text.lines().filter_map(|line| line.strip_prefix("DONE "));
        let told: Vec<_> = told
            .map(serde_json::from_str)
            .filter_map(Result::ok)
            .collect();
        if !output.status.success() || told.len() != group.len() {
            self.fail(&format!("the oracle says no\n{}", text_of(&output)));
        }
        told
    }

    /// Runs the binary, which must succeed and print JSON.
    pub(crate) fn compactor(&mut self, arguments: &[&str]) -> Value {
        let output = self.compactor_output(arguments);
        if !output.status.success() {
            self.fail(&text_of(&output));
        }
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| self.fail(&format!("{error}\n{}", text_of(&output))))
    }

    /// All that the binary prints, whether it succeeds or not.
    pub(crate) fn compactor_output_of(&mut self, arguments: &[&str]) -> String {
        text_of(&self.compactor_output(arguments))
    }

    /// Runs the binary, which must fail and print a JSON error: its code.
    pub(crate) fn compactor_refuses(&mut self, arguments: &[&str]) -> String {
        let output = self.compactor_output(arguments);
        let refusal = serde_json::from_slice::<Value>(&output.stderr).ok();
        match refusal.and_then(|error| error["error"]["code"].as_str().map(str::to_owned)) {
            Some(code) if output.status.code() == Some(1) && output.stdout.is_empty() => code,
            _ => self.fail(&format!("a refusal was expected\n{}", text_of(&output))),
        }
    }

    /// What the binary prints and how it ends.
    pub(crate) fn output(&mut self, arguments: &[&str]) -> Output {
        self.compactor_output(arguments)
    }

    fn compactor_output(&mut self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        if text_of(&output).contains("panicked") {
            self.fail(&text_of(&output));
        }
        output
    }

    fn run(&mut self, arguments: &[&str]) -> Output {
        let words = std::iter::once(&COMPACTOR).chain(arguments);
        let words: Vec<_> = words.map(|word| quote(word.as_ref())).collect();
        self.commands.push(words.join(" "));
        let mut command = Command::new(COMPACTOR);
        command.args(arguments).env_remove("RUST_LOG");
        command
            .output()
            .unwrap_or_else(|error| self.fail(&error.to_string()))
    }

    /// Fails unless `holds`.
    #[track_caller]
    pub(crate) fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    /// Ends the test; prints how to repeat it.
    #[track_caller]
    pub(crate) fn fail(&self, what: &str) -> ! {
        panic!(
            "{what}\n\nseed {}; to repeat it:\n{}\n",
            self.seed,
            self.commands.join("\n"),
        );
    }

    /// Every file below `dir`, a path of this session, with its bytes.
    pub(crate) fn bytes_of(&self, dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![PathBuf::from(dir)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// Fails unless `dir` still has exactly the files `before`.
    #[track_caller]
    pub(crate) fn check_untouched(&self, dir: &str, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let after = self.bytes_of(dir);
        let changed: Vec<_> = before
            .keys()
            .chain(after.keys())
            .filter(|path| before.get(*path) != after.get(*path))
            .collect();
        self.check(changed.is_empty(), &format!("changed: {changed:?}"));
    }

    /// The names of what is in the session's folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let names = entries.map(|entry| name(entry).to_string_lossy().into_owned());
        names.collect()
    }
}

fn text_of(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )
}

/// As a shell reads it.
fn quote(word: &Path) -> String {
    let word = word.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
