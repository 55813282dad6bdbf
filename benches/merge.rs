//! Whole merges of records with 1536 dimensions, natively and with chromadb 1.5.9's get and
//! upsert, in the same run, with the ratio: 10 deltas of 150 into a base of 14,816, and 14,816 in
//! 100 deltas into an empty directory. Both sides index the vectors.
//!
//! `cargo xtask bench` runs it. Both sides start from copies of the same directories, made once by
//! chromadb below the target folder; both times cover opening, merging and closing. Ours includes
//! writing to disk (fsync) and the proof that the directory is closed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark may stop anywhere"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use chroma_store::{
    CloseOptions, FlushReport, LikeOptions, MergeOptions, NewIds, Open, OpenOptions, Store,
    VerifyLevel, copy_directory, create_like,
};
use compactor_testkit::workspace::root;
use uuid::Uuid;

const CHROMADB: &str = "1.5.9";
const WORDS: &str = "words";
const OUT: &str = "out";

/// What is merged into what.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    title: &'static str,
    deltas: usize,
    /// Whether there is a base.
    base: bool,
}

const CASES: [Case; 2] = [
    Case {
        name: "ten",
        title: "10 deltas x 150 records into 14,816",
        deltas: 10,
        base: true,
    },
    Case {
        name: "hundred",
        title: "14,816 records in 100 deltas into an empty directory",
        deltas: 100,
        base: false,
    },
];

/// A native round.
struct Measured {
    native: f64,
    flushed: FlushReport,
    written: u64,
}

fn main() {
    let data = make_data();
    let rounds = std::env::var("ROUNDS").map_or(5, |text| text.parse().unwrap());
    for case in CASES {
        println!("{}; 1536 dimensions, {rounds} rounds, medians", case.title);
        // One after the other, after one that does not count: the first to run after something
        // else gets its memory late from the machine.
        let (chromadb, expected): (Vec<f64>, Vec<u64>) = (0..=rounds)
            .map(|_| case.with_chromadb(&data))
            .skip(1)
            .unzip();
        let measured: Vec<Measured> = (0..=rounds)
            .map(|_| case.natively(&data, expected[0]))
            .skip(1)
            .collect();
        let verifying = verify(&data, expected[0]);
        let native = median(measured.iter().map(|round| round.native).collect());
        let chromadb = median(chromadb);
        println!(
            "  chromadb {CHROMADB} {chromadb:.3} s, native {native:.3} s: {:.1} x",
            chromadb / native
        );
        println!(
            "  with the full verification that chromadb has no counterpart to ({verifying:.3} s): {:.1} x",
            chromadb / (native + verifying)
        );
        let last = &measured[rounds - 1];
        println!(
            "  the floor: {:.1} MiB of deltas{} read, {:.1} MiB written, {} vectors indexed with {} distances",
            mib(case.delta_bytes(&data)),
            if case.base {
                format!(
                    " and {:.1} MiB of index",
                    mib(index_bytes(&data.join("base")))
                )
            } else {
                String::new()
            },
            mib(last.written),
            last.flushed.inserted,
            last.flushed.distances,
        );
    }
}

impl Case {
    /// Where a round works; what the one before left is removed.
    fn out(data: &Path) -> PathBuf {
        let out = data.join(OUT);
        let _ = std::fs::remove_dir_all(&out);
        out
    }

    fn natively(self, data: &Path, expected: u64) -> Measured {
        let out = &Self::out(data);
        let deltas = self.deltas(data);
        if self.base {
            copy_directory(&data.join("base"), out).unwrap();
        }
        // The copy is on disk before the clock starts, here and in the other program.
        rustix::fs::sync();
        let began = Instant::now();
        let mut store = self.open(out, &deltas[0]);
        let report = store
            .merge(WORDS, &deltas, MergeOptions::default())
            .unwrap();
        store.close(&CloseOptions::default()).unwrap();
        let native = began.elapsed().as_secs_f64();
        for outcome in report.outcomes {
            outcome.result.unwrap();
        }
        assert_eq!(
            report.records_after, expected,
            "both sides must do the same"
        );
        Measured {
            native,
            flushed: report.flushed.expect("enough vectors to be indexed"),
            written: index_bytes(out) + bytes_in(&out.join(chroma_store::DATABASE_NAME)),
        }
    }

    fn open(self, out: &Path, model: &Path) -> Store<Open> {
        if self.base {
            return Store::open(out, OpenOptions::scratch()).unwrap();
        }
        let ids = NewIds {
            collection: Uuid::from_u128(1),
            vector_segment: Uuid::from_u128(2),
            metadata_segment: Uuid::from_u128(3),
        };
        let options = LikeOptions::default();
        create_like(out, model, WORDS, ids, options).unwrap().0
    }

    fn with_chromadb(self, data: &Path) -> (f64, u64) {
        let out = Self::out(data);
        let output = python(&[
            "merge",
            "--dir",
            data.to_str().unwrap(),
            "--case",
            self.name,
            "--out",
            out.to_str().unwrap(),
        ]);
        let line: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
        (
            line["seconds"].as_f64().unwrap(),
            line["count_after"].as_u64().unwrap(),
        )
    }

    fn deltas(self, data: &Path) -> Vec<PathBuf> {
        (0..self.deltas)
            .map(|number| data.join(format!("{}-{number:02}", self.name)))
            .collect()
    }

    fn delta_bytes(self, data: &Path) -> u64 {
        let databases = self.deltas(data).into_iter();
        databases
            .map(|delta| bytes_in(&delta.join(chroma_store::DATABASE_NAME)))
            .sum()
    }
}

/// Seconds that the full verification of the last round's result takes.
fn verify(data: &Path, expected: u64) -> f64 {
    let began = Instant::now();
    let verified = chroma_store::verify(&data.join(OUT), VerifyLevel::Full).unwrap();
    let verifying = began.elapsed().as_secs_f64();
    let records = verified.collection(WORDS).unwrap().records;
    assert_eq!(records, expected, "what was merged is there");
    verifying
}

fn make_data() -> PathBuf {
    let data = root().join("target/bench-merge");
    std::fs::create_dir_all(&data).unwrap();
    python(&["make", "--dir", data.to_str().unwrap()]);
    data
}

fn python(arguments: &[&str]) -> String {
    let environments =
        std::env::var_os("CHROMA_VENVS").map_or_else(|| root().join(".venvs"), PathBuf::from);
    let interpreter = environments.join(format!("chromadb-{CHROMADB}/bin/python"));
    let output = Command::new(interpreter)
        .arg(root().join("benches/python/merge_bench.py"))
        .args(arguments)
        .output()
        .expect("run `cargo xtask bench`, which installs chromadb");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Bytes of all index files.
fn index_bytes(dir: &Path) -> u64 {
    let folders = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|file| bytes_in(&file.unwrap().path()))
        .sum()
}

fn bytes_in(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
