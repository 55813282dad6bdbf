//! Merges of large deltas that change most of a snapshot: what SQLite keeps to undo one is larger than
//! all its buffers.

use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, MergeOptions, MetadataValue, OpenOptions, Operation, Patch, Store, VerifyLevel,
    copy_directory,
};
use fastrand::Rng;

use crate::content;
use crate::directory::{Recipe, WORDS, sql};

const RECORDS: usize = 6_000;
const DIMENSION: usize = 16;

/// An upsert with random content, so that it touches pages all over the database.
fn scattered(rng: &mut Rng, number: usize, dimension: usize) -> Operation {
    let vector: Vec<f32> = (0..dimension).map(|_| rng.f32()).collect();
    let mut word = || -> String { std::iter::repeat_with(|| rng.lowercase()).take(8).collect() };
    let document: Vec<String> = (0..30).map(|_| word()).collect();
    let patch: Patch = vec![
        (
            "chroma:document".to_owned(),
            Some(document.join(" ").as_str().into()),
        ),
        ("word".to_owned(), Some(word().as_str().into())),
        ("float".to_owned(), Some(MetadataValue::from(rng.f64()))),
        ("integer".to_owned(), Some(rng.i64(..).into())),
    ];
    Operation::upsert(format!("id-{number}"), &vector, patch)
}

fn make(root: &Path, name: &str, seed: u64, numbers: impl Iterator<Item = usize>) -> PathBuf {
    let mut rng = Rng::with_seed(seed);
    let operations = numbers.map(|number| scattered(&mut rng, number, DIMENSION));
    Recipe::of(operations.collect()).make(root, name)
}

/// Merges all deltas at once and verifies the result. Gives which deltas were applied, and the number
/// of records.
fn merge(base: &Path, deltas: &[PathBuf]) -> (Vec<bool>, u64) {
    let mut store = Store::open(base, OpenOptions::default()).unwrap();
    let report = store.merge(WORDS, deltas, MergeOptions::default()).unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    let verified = closed.verify(VerifyLevel::Full).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    let outcomes = report.outcomes.iter();
    let applied = outcomes.map(|one| one.result.is_ok()).collect();
    (applied, report.records_after)
}

#[test]
fn deltas_that_change_most_of_a_snapshot_are_merged() {
    let root = tempfile::tempdir().unwrap();
    let base = make(root.path(), "base", 1, 0..RECORDS);
    let deltas = [
        make(root.path(), "even", 2, (0..RECORDS).step_by(2)),
        make(root.path(), "all", 3, 0..RECORDS + 500),
    ];
    let (applied, records) = merge(&base, &deltas);
    assert_eq!(applied, [true, true]);
    assert_eq!(records, RECORDS as u64 + 500);
}

/// The merge undoes what it applied before the fault, and merges the other deltas.
#[test]
fn delta_with_a_bad_last_record_is_left_out_whole() {
    let root = tempfile::tempdir().unwrap();
    let base = make(root.path(), "base", 1, 0..RECORDS);
    let untroubled = root.path().join("untroubled");
    copy_directory(&base, &untroubled).unwrap();
    let torn = make(root.path(), "torn", 2, 0..RECORDS + 500);
    sql(
        &torn,
        "UPDATE embeddings_queue SET vector = substr(vector, 1, 4)
         WHERE seq_id = (SELECT max(seq_id) FROM embeddings_queue)",
    );
    let even = make(root.path(), "even", 3, (0..RECORDS).step_by(2));
    let new = make(root.path(), "new", 4, RECORDS..RECORDS + 900);
    let (applied, records) = merge(&base, &[even.clone(), torn, new.clone()]);
    assert_eq!(applied, [true, false, true]);
    assert_eq!(records, RECORDS as u64 + 900);
    merge(&untroubled, &[even, new]);
    assert!(
        content::read(&base) == content::read(&untroubled),
        "the torn delta left something"
    );
}

/// 1,980 vectors of the dimension of an embedding model.
#[test]
fn deltas_of_1536_dimensions_are_merged_and_flushed() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::of(Vec::new()).make(root.path(), "base");
    let deltas = [0..990, 990..1_980].map(|numbers| {
        let mut rng = Rng::with_seed(numbers.start as u64);
        let name = format!("from-{}", numbers.start);
        let operations = numbers.map(|number| scattered(&mut rng, number, 1536));
        Recipe::of(operations.collect()).make(root.path(), &name)
    });
    let (applied, records) = merge(&base, &deltas);
    assert_eq!(applied, [true, true]);
    assert_eq!(records, 1_980);
}
