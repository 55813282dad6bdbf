//! 500 cycles of open, merge and close in one process that may open 64 files: the number of open
//! descriptors returns to its start, the directory keeps only the database, and memory stays flat. Then
//! one merge into a snapshot and one into a snapshot three times as large: the peak is the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::path::Path;

use chroma_store::{
    CloseOptions, CreateOptions, FlushOptions, FlushWhen, MergeOptions, NewIds, OpenOptions,
    Operation, SchemaLevel, Space, Store, VerifyLevel, copy_directory, create,
};
use libtest_mimic::{Failed, Trial};
use rustix::process::{Resource, Rlimit, setrlimit};
use uuid::Uuid;

const CYCLES: usize = 500;
/// By this cycle every cache has its size.
const WARM: usize = 50;
const OPEN_FILES: u64 = 64;
/// What allocators keep varies by this much; a leak of one page a cycle would be as much.
const SLACK_KIB: u64 = 2048;
const DIMENSION: usize = 64;
/// A larger snapshot may fill more of SQLite's page cache (at most 32 MiB); it is itself some
/// 30 MiB larger.
const CACHE_KIB: u64 = 8192;
/// The child's argument.
const MERGE: &str = "merge-and-tell-the-peak";
const SMALL: u32 = 15_000;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, command, base, delta] = arguments.as_slice()
        && command == MERGE
    {
        return merge(Path::new(base), Path::new(delta));
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Descriptors and memory are those of the whole process.
    arguments.test_threads = Some(1);
    let limit = Rlimit {
        current: Some(OPEN_FILES),
        maximum: Some(OPEN_FILES),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let trials = vec![
        Trial::test(
            "repeated_cycles_leak_no_descriptors_and_no_memory",
            succeed(cycles),
        ),
        Trial::test(
            "merge_peak_memory_does_not_grow_with_the_snapshot",
            succeed(sizes),
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that fails by panicking.
fn succeed(test: fn()) -> impl FnOnce() -> Result<(), Failed> + Send {
    move || {
        test();
        Ok(())
    }
}

fn cycles() {
    let root = tempfile::tempdir().unwrap();
    let base = make(root.path(), "base", 0..400);
    let delta = make(root.path(), "delta", 350..450);
    let work = root.path().join("work");
    let descriptors = open_descriptors();
    let mut warm = 0;
    for cycle in 1..=CYCLES {
        copy_directory(&base, &work).unwrap();
        let mut store = Store::open(&work, OpenOptions::default()).unwrap();
        let report = store
            .merge("words", &[&delta], MergeOptions::default())
            .unwrap();
        assert_eq!(report.records_after, 450);
        let closed = store.close(&CloseOptions::default()).unwrap();
        let level = if cycle % 10 == 0 {
            VerifyLevel::Full
        } else {
            VerifyLevel::Quick
        };
        closed.verify(level).unwrap();
        assert_eq!(closed.files().unwrap().len(), 1, "nothing but the database");
        let names: Vec<_> = std::fs::read_dir(&work).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        drop(names);
        std::fs::remove_dir_all(&work).unwrap();
        assert_eq!(open_descriptors(), descriptors, "after cycle {cycle}");
        if cycle == WARM {
            warm = memory_kib("VmRSS:");
        }
    }
    let end = memory_kib("VmRSS:");
    println!(
        "soak: {CYCLES} cycles under {OPEN_FILES} open files: {descriptors} descriptors before and \
         after, resident memory {warm} KiB after {WARM} cycles and {end} KiB at the end"
    );
    assert!(
        end <= warm + SLACK_KIB,
        "memory grew from {warm} to {end} KiB"
    );
}

/// Both snapshots are larger than SQLite's page cache may grow. Each merge runs in its own process, so
/// that the peak is its own.
fn sizes() {
    let peak_of = |records| {
        let root = tempfile::tempdir().unwrap();
        let base = make(root.path(), "base", 0..records);
        let delta = make(root.path(), "delta", records - 50..records + 100);
        let merge = std::process::Command::new(std::env::current_exe().unwrap())
            .arg(MERGE)
            .args([base, delta])
            .output()
            .unwrap();
        assert!(
            merge.status.success(),
            "{}",
            String::from_utf8_lossy(&merge.stderr)
        );
        String::from_utf8(merge.stdout)
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let (small, large) = (peak_of(SMALL), peak_of(3 * SMALL));
    println!(
        "soak: merging 150 records and verifying all peaks at {small} KiB with {SMALL} records in the snapshot and at \
         {large} KiB with {}",
        3 * SMALL
    );
    assert!(
        large <= small + CACHE_KIB,
        "the peak grew from {small} to {large} KiB"
    );
}

/// The child of [`sizes`]: one merge, then its own peak.
fn merge(base: &Path, delta: &Path) {
    let mut store = Store::open(base, OpenOptions::default()).unwrap();
    // A graph is as large as its vectors: `cargo xtask bench memory` measures flushing.
    let options = MergeOptions {
        flush: FlushOptions {
            when: FlushWhen::Never,
            ..FlushOptions::default()
        },
        ..MergeOptions::default()
    };
    store.merge("words", &[delta], options).unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    closed.verify(VerifyLevel::Full).unwrap();
    println!("{}", memory_kib("VmHWM:"));
}

fn make(root: &Path, name: &str, ids: std::ops::Range<u32>) -> std::path::PathBuf {
    let dir = root.join(name);
    let options = CreateOptions {
        collection: "words".to_owned(),
        space: Space::Cosine,
        level: SchemaLevel::L15,
    };
    let salt = u128::from(ids.start) << 8;
    let ids_of = |number: u128| Uuid::from_u128(salt + number);
    let new_ids = NewIds {
        collection: ids_of(1),
        vector_segment: ids_of(2),
        metadata_segment: ids_of(3),
    };
    let mut store = create(&dir, &options, new_ids).unwrap();
    let records = ids.map(|id| {
        let vector: Vec<f32> = (0..DIMENSION)
            .map(|at| (id as usize * 31 + at) as f32)
            .collect();
        let patch = vec![
            (
                "chroma:document".to_owned(),
                Some(format!("document number {id}").as_str().into()),
            ),
            ("id".to_owned(), Some(i64::from(id).into())),
        ];
        Operation::upsert(format!("id-{id}"), &vector, patch)
    });
    store.write("words", records).unwrap();
    store.close(&CloseOptions::default()).unwrap();
    dir
}

/// The listing itself opens one more, in every call.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn memory_kib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
