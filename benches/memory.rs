//! The most memory that flushing takes, beside the size of the graph: 1,500 vectors into 100,000 of
//! 384 dimensions.
//!
//! `cargo xtask bench memory` runs it. Each step is a process of its own, whose peak the system
//! tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark may stop anywhere"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::path::Path;
use std::process::Command;

use chroma_store::{
    CloseOptions, CreateOptions, FlushOptions, FlushWhen, NewIds, OpenOptions, Operation, Patch,
    SchemaLevel, Space, Store, create,
};
use uuid::Uuid;

const DIMENSION: usize = 384;
const BASE: usize = 100_000;
const MORE: usize = 1_500;
const WORDS: &str = "words";
const STEP: &str = "MEMORY_BENCH";

fn main() {
    if let Ok(step) = std::env::var(STEP) {
        let dir = std::env::args().nth(1).unwrap();
        take(&step, Path::new(&dir));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        println!("{}", peak.split_whitespace().nth(1).unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    run("make", &dir);
    run("flush", &dir);
    let graph = index_bytes(&dir);
    let idle = run("open", &dir);
    run("add", &dir);
    let flush = run("flush", &dir);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("{MORE} into {BASE} x {DIMENSION}, {} space", Space::Cosine);
    println!("index files G          {:8.1} MiB", mib(graph));
    println!("opening and closing    {:8.1} MiB peak", mib(idle));
    println!("flushing               {:8.1} MiB peak", mib(flush));
    println!(
        "(flushing - opening)/G {:8.2}",
        (flush - idle) as f64 / graph as f64
    );
}

fn run(step: &str, dir: &Path) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(STEP, step)
        .arg(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kib: u64 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kib * 1024
}

fn take(step: &str, dir: &Path) {
    let mut store = if step == "make" {
        let options = CreateOptions {
            collection: WORDS.to_owned(),
            space: Space::Cosine,
            level: SchemaLevel::L15,
        };
        let ids = NewIds {
            collection: Uuid::from_u128(1),
            vector_segment: Uuid::from_u128(2),
            metadata_segment: Uuid::from_u128(3),
        };
        create(dir, &options, ids).unwrap()
    } else {
        Store::open(dir, OpenOptions::default()).unwrap()
    };
    match step {
        "make" => drop(store.write(WORDS, records(0..BASE)).unwrap()),
        "add" => drop(store.write(WORDS, records(BASE..BASE + MORE)).unwrap()),
        "flush" => {
            let options = FlushOptions {
                when: FlushWhen::Always,
                ..FlushOptions::default()
            };
            store.flush(WORDS, options).unwrap().unwrap();
        }
        _ => {}
    }
    store.close(&CloseOptions::default()).unwrap();
}

/// Seeded vectors around 64 centres.
fn records(range: std::ops::Range<usize>) -> impl Iterator<Item = Operation> {
    range.map(|at| {
        let centre = u64::try_from(at % 64).unwrap();
        let mut centre = fastrand::Rng::with_seed(centre);
        let mut noise = fastrand::Rng::with_seed(u64::try_from(at).unwrap() + 1000);
        let vector: Vec<f32> = (0..DIMENSION)
            .map(|_| centre.f32() - 0.5 + 0.7 * (noise.f32() - 0.5))
            .collect();
        Operation::upsert(format!("record-{at}"), &vector, Patch::new())
    })
}

fn index_bytes(dir: &Path) -> u64 {
    let folders = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}
