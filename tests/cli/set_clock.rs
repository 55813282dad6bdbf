//! Clocks that a test sets under the binary, as somebody with a wrong time server sets a machine's:
//! libfaketime answers when a process asks what time it is. Stopwatches and the dates of files stay
//! right.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::Place;

/// Where `cargo xtask venvs` puts libfaketime, with the Python of that environment in between.
const LIBRARY: &str = "site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1";

/// A clock of one process, or of several.
pub(crate) struct SetClock {
    /// What libfaketime reads at every question.
    file: PathBuf,
}

impl SetClock {
    /// One that is right until it is set.
    pub(crate) fn new(place: &Place, name: &str) -> Self {
        let clock = Self {
            file: place.path(format!("{name}.clock")),
        };
        clock.set("+0");
        clock
    }

    /// Sets it so much ahead or back of the right time, as in `-3h` or `+2d`.
    pub(crate) fn set(&self, offset: &str) {
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, offset).unwrap();
        std::fs::rename(draft, &self.file).unwrap();
    }

    /// The command's process goes by this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

fn library() -> PathBuf {
    let workspace = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    let venvs = std::env::var_os("CHROMA_VENVS").unwrap_or_else(|| ".venvs".into());
    let folder = workspace.join(venvs).join("faketime/lib");
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
