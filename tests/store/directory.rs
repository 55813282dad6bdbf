//! Makes directories, damages them, and shows whether one was touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, CreateOptions, MetadataValue, NewIds, Operation, Patch, SchemaLevel, Space,
    create,
};
use rusqlite::Connection;
use uuid::Uuid;

pub(crate) const WORDS: &str = "words";

/// What to make; the defaults suit most tests.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) collection: &'static str,
    pub(crate) space: Space,
    pub(crate) level: SchemaLevel,
    pub(crate) operations: Vec<Operation>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            collection: WORDS,
            space: Space::Cosine,
            level: SchemaLevel::L15,
            operations: (0..5)
                .map(|number| record(&format!("id{number}"), 4, number))
                .collect(),
        }
    }
}

impl Recipe {
    pub(crate) fn of(operations: Vec<Operation>) -> Self {
        Self {
            operations,
            ..Self::default()
        }
    }

    /// Makes the directory `parent/name`, closed.
    pub(crate) fn make(self, parent: &Path, name: &str) -> PathBuf {
        let dir = parent.join(name);
        let options = CreateOptions {
            collection: self.collection.to_owned(),
            space: self.space,
            level: self.level,
        };
        let mut store = create(&dir, &options, ids(name)).unwrap();
        store.write(self.collection, self.operations).unwrap();
        store.close(&CloseOptions::default()).unwrap();
        dir
    }
}

/// Different for every name, the same in every run.
fn ids(name: &str) -> NewIds {
    let id = |salt: u64| {
        let hash = name.bytes().fold(salt, |hash, byte| {
            hash.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)
        });
        Uuid::from_u64_pair(hash, hash.rotate_left(17))
    };
    NewIds {
        collection: id(1),
        vector_segment: id(2),
        metadata_segment: id(3),
    }
}

/// An upsert of a whole record with a vector of `dimension` elements.
pub(crate) fn record(id: &str, dimension: usize, number: i16) -> Operation {
    let vector: Vec<f32> = (0..dimension)
        .map(|at| f32::from(number) + at as f32 / 8.0 + 0.5)
        .collect();
    let patch: Patch = vec![
        (
            "chroma:document".to_owned(),
            Some(format!("document {number} of {id}").as_str().into()),
        ),
        (
            "number".to_owned(),
            Some(MetadataValue::from(i64::from(number))),
        ),
        (
            "half".to_owned(),
            Some(MetadataValue::from(f64::from(number) / 2.0)),
        ),
        (
            "even".to_owned(),
            Some(MetadataValue::from(number % 2 == 0)),
        ),
    ];
    Operation::upsert(id, &vector, patch)
}

/// Runs SQL on the directory's database.
pub(crate) fn sql(dir: &Path, statement: &str) {
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    // As in chromadb; the bundled SQLite would enforce them.
    connection.execute_batch("PRAGMA foreign_keys=OFF").unwrap();
    connection.execute_batch(statement).unwrap();
    connection.close().unwrap();
}

/// Every file with its bytes.
pub(crate) fn bytes_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                files.insert(path, Vec::new());
            } else if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    files
}

/// The names in a folder.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs `store merge` of one delta, with `more` options.
pub(crate) fn merge(base: &Path, delta: &Path, out: &Path, more: &[&str]) -> (i32, String, String) {
    let [base, delta, out] = [base, delta, out].map(|path| path.to_str().unwrap());
    let arguments = [
        "store", "merge", "--base", base, "--delta", delta, "--out", out,
    ];
    compactor(&[&arguments, more].concat())
}

/// Runs the binary; gives exit code, standard output and standard error.
pub(crate) fn compactor(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chroma-compactor"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}
