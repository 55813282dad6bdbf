//! Vectors in cosine space that are so short or so long that their length cannot be computed in f32.
//! chromadb takes them, and so does the store.

use chroma_store::{
    CloseOptions, FlushOptions, FlushWhen, MergeOptions, OpenOptions, Operation, Patch, Store,
    VerifyLevel,
};

use crate::directory::{Recipe, WORDS};

const ODD: [f32; 9] = [0.0, 1e-45, 1e-38, 1e-30, 1e-25, 1e-22, 1e-20, 1e20, 3e38];

fn records(prefix: &str, values: &[f32]) -> Vec<Operation> {
    let numbered = values.iter().enumerate();
    numbered
        .map(|(at, value)| {
            let vector = [*value, value / 2.0, *value, *value];
            Operation::upsert(format!("{prefix}{at}"), &vector, Patch::new())
        })
        .collect()
}

#[test]
fn extremely_short_and_long_vectors_are_merged_flushed_and_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let plain: Vec<f32> = (1_u8..20).map(f32::from).collect();
    let base = Recipe::of(records("plain", &plain)).make(root.path(), "base");
    let delta = Recipe::of(records("odd", &ODD)).make(root.path(), "delta");
    let always = FlushOptions {
        when: FlushWhen::Always,
        ..FlushOptions::default()
    };
    let mut store = Store::open(&base, OpenOptions::default()).unwrap();
    let options = MergeOptions {
        flush: always,
        ..MergeOptions::default()
    };
    let report = store.merge(WORDS, &[delta], options).unwrap();
    assert!(report.outcomes[0].result.is_ok(), "{:?}", report.outcomes);
    assert_eq!(report.records_after, (plain.len() + ODD.len()) as u64);
    let closed = store.close(&CloseOptions::default()).unwrap();
    let verified = closed.verify(VerifyLevel::Full).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    drop(closed);
    // The rebuild reads the vectors from the index files alone.
    let mut store = Store::open(&base, OpenOptions::default()).unwrap();
    store
        .rebuild(WORDS, chroma_store::Engine::Native, always)
        .unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    let verified = closed.verify(VerifyLevel::Full).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
