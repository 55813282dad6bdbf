//! Clocks that a test sets while the program runs, as a wrong time server sets a machine's.
//!
//! libfaketime answers when a process asks what time it is. Monotonic clocks and the dates of files
//! stay right.

use std::path::PathBuf;
use std::process::Command;

use crate::cli::Workdir;
use crate::workspace::venvs;

/// Where `cargo xtask venvs` puts libfaketime, with the Python of that environment in between.
const LIBRARY: &str = "site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1";

/// The wall clock of one process or of several.
pub struct SetClock {
    /// The file that libfaketime reads whenever a process asks for the time.
    file: PathBuf,
}

impl SetClock {
    /// A clock that is right until [`set`](Self::set). Clocks of one test have different names.
    pub fn new(workdir: &Workdir, name: &str) -> Self {
        let clock = Self {
            file: workdir.path(format!("{name}.clock")),
        };
        clock.set("+0");
        clock
    }

    /// Sets it ahead or back of the right time by `offset`, as in `-3h` or `+2d`.
    pub fn set(&self, offset: &str) {
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, offset).unwrap();
        std::fs::rename(draft, &self.file).unwrap();
    }

    /// Makes the command's process read this clock.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

fn library() -> PathBuf {
    let folder = venvs().join("faketime/lib");
    let pythons = std::fs::read_dir(&folder).into_iter().flatten();
    let mut libraries = pythons.map(|python| python.unwrap().path().join(LIBRARY));
    let library = libraries.find(|library| library.is_file());
    let library = library.unwrap_or_else(|| {
        panic!(
            "libfaketime is missing in {}: run `cargo xtask test`",
            folder.display()
        )
    });
    std::path::absolute(library).unwrap()
}
