//! 500 open → merge → close cycles in one process that may open 64 files: descriptors return to
//! where they were, nothing is left in the directory, memory stays flat.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::path::Path;

use chroma_store::{
    CloseOptions, CreateOptions, MergeOptions, NewIds, OpenOptions, Operation, SchemaLevel, Space,
    Store, VerifyLevel, copy_directory, create,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use uuid::Uuid;

const CYCLES: usize = 500;
/// By then every cache has its size.
const WARM: usize = 50;
const OPEN_FILES: u64 = 64;
/// What allocators keep varies by this much; a leak of one page a cycle would be as much.
const SLACK_KIB: u64 = 2048;
const DIMENSION: usize = 64;

fn main() {
    let limit = Rlimit {
        current: Some(OPEN_FILES),
        maximum: Some(OPEN_FILES),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
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
            warm = resident_kib();
        }
    }
    let end = resident_kib();
    println!(
        "soak: {CYCLES} cycles under {OPEN_FILES} open files: {descriptors} descriptors before and \
         after, resident memory {warm} KiB after {WARM} cycles and {end} KiB at the end"
    );
    assert!(
        end <= warm + SLACK_KIB,
        "memory grew from {warm} to {end} KiB"
    );
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

/// Listing them opens one more, in every call alike.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
