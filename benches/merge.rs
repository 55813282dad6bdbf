//! Merges 10 deltas of 150 records into a base of 14,816 (1536 dimensions), natively and with
//! chromadb 1.5.9's get and upsert, in the same run, and prints the ratio.
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

use chroma_store::{CloseOptions, MergeOptions, OpenOptions, Store, VerifyLevel, copy_directory};

const ROUNDS: usize = 5;
const CHROMADB: &str = "1.5.9";

/// Seconds, and records after.
struct Measured {
    seconds: f64,
    records: u64,
}

fn main() {
    let data = make_data();
    println!("10 deltas x 150 records x 1536 dimensions into 14,816; {ROUNDS} rounds, medians");
    let (mut ours, mut theirs, mut verifying) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // A round that was interrupted may have left its own.
        let out = data.join(format!("out-{}", std::process::id()));
        let python = with_chromadb(&data, &out);
        std::fs::remove_dir_all(&out).unwrap();
        let (native, verified) = natively(&data, &out);
        std::fs::remove_dir_all(&out).unwrap();
        assert_eq!(
            native.records, python.records,
            "both sides must have done the same"
        );
        println!(
            "round {round}: chromadb {CHROMADB} {:.3} s, native {:.3} s, full verification {verified:.3} s",
            python.seconds, native.seconds
        );
        ours.push(native.seconds);
        theirs.push(python.seconds);
        verifying.push(verified);
    }
    let (ours, theirs, verifying) = (median(ours), median(theirs), median(verifying));
    println!(
        "median: chromadb {theirs:.3} s, native {ours:.3} s: {:.1} x",
        theirs / ours
    );
    println!(
        "with the full verification that chromadb has no counterpart to ({verifying:.3} s): {:.1} x",
        theirs / (ours + verifying)
    );
}

fn natively(data: &Path, out: &Path) -> (Measured, f64) {
    let deltas: Vec<PathBuf> = (0..10).map(|number| delta(data, number)).collect();
    copy_directory(&base(data), out).unwrap();
    let began = Instant::now();
    let mut store = Store::open(out, OpenOptions::default()).unwrap();
    let report = store
        .merge("words", &deltas, MergeOptions::default())
        .unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    for outcome in report.outcomes {
        outcome.result.unwrap();
    }
    let began = Instant::now();
    let verified = closed.verify(VerifyLevel::Full).unwrap();
    let records = verified.collection("words").unwrap().records;
    (Measured { seconds, records }, began.elapsed().as_secs_f64())
}

fn with_chromadb(data: &Path, out: &Path) -> Measured {
    let output = python(&[
        "merge",
        "--dir",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    let line: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    Measured {
        seconds: line["seconds"].as_f64().unwrap(),
        records: line["count_after"].as_u64().unwrap(),
    }
}

fn make_data() -> PathBuf {
    let data = workspace().join("target/bench-merge");
    std::fs::create_dir_all(&data).unwrap();
    python(&["make", "--dir", data.to_str().unwrap()]);
    data
}

fn python(arguments: &[&str]) -> String {
    let environments =
        std::env::var_os("CHROMA_VENVS").map_or_else(|| workspace().join(".venvs"), PathBuf::from);
    let interpreter = environments.join(format!("chromadb-{CHROMADB}/bin/python"));
    let output = Command::new(interpreter)
        .arg(workspace().join("benches/python/merge_bench.py"))
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

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn base(data: &Path) -> PathBuf {
    data.join("base")
}

fn delta(data: &Path, number: usize) -> PathBuf {
    data.join(format!("delta-{number:02}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
