//! Any sequence of merges, flushes, rebuilds and reopenings, against a plain map of vectors.

use std::collections::BTreeMap;
use std::path::Path;

use chroma_store::{
    CloseOptions, Engine, FlushOptions, FlushWhen, Like, MergeOptions, Open, OpenOptions,
    Operation, Patch, SchemaLevel, Searcher, Space, Store, VerifyLevel,
};
use compactor_testkit::index_files;
use proptest::prelude::*;

use crate::directory::{Recipe, WORDS};

type Model = BTreeMap<String, Vec<f32>>;

#[derive(Debug, Clone)]
enum Step {
    /// Deltas of upserts (with a vector) and deletions, merged at once.
    Merge(Vec<Vec<(String, Option<[i8; 3]>)>>, FlushWhen),
    Flush,
    Rebuild(Engine),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let change = ("[a-z]", proptest::option::weighted(0.8, any::<[i8; 3]>()));
    let delta = proptest::collection::vec(change, 1..20);
    let when = proptest::sample::select(vec![FlushWhen::Due, FlushWhen::Always, FlushWhen::Never]);
    prop_oneof![
        4 => (proptest::collection::vec(delta, 1..4), when)
            .prop_map(|(deltas, when)| Step::Merge(deltas, when)),
        2 => Just(Step::Flush),
        1 => proptest::sample::select(vec![Engine::Native, Engine::HnswRs]).prop_map(Step::Rebuild),
        1 => Just(Step::Reopen),
    ]
}

fn floats(vector: [i8; 3]) -> Vec<f32> {
    vector.iter().map(|x| f32::from(*x) / 4.0).collect()
}

fn open(dir: &Path) -> Store<Open> {
    Store::open(dir, OpenOptions::default()).unwrap()
}

fn close(store: Store<Open>) {
    let closed = store.close(&CloseOptions::default()).unwrap();
    closed.verify(VerifyLevel::Full).unwrap();
}

/// The vectors of the directory: those of the index files, replaced by those of the log.
fn vectors(dir: &Path, space: Space) -> Model {
    let mut found = Model::new();
    for (id, (vector, norm)) in
        index_files::read(dir, WORDS).map_or_else(BTreeMap::new, |f| f.vectors)
    {
        let norm = if space == Space::Cosine { norm } else { 1.0 };
        found.insert(id, vector.iter().map(|x| x * norm).collect());
    }
    // `content` reads the vectors that the log has of existing records; they are never older.
    let content = crate::content::read(dir);
    for (id, record) in &content {
        if let Some(bytes) = &record.vector {
            let floats = bytes
                .chunks_exact(4)
                .map(|x| f32::from_le_bytes(x.try_into().unwrap()));
            found.insert(id.clone(), floats.collect());
        }
    }
    found.retain(|id, _| content.contains_key(id));
    found
}

fn same(left: &Model, right: &Model) -> bool {
    let near = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs())
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|((i, a), (j, b))| i == j && near(a, b))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_merges_flushes_and_rebuilds_equals_a_map(
        steps in proptest::collection::vec(step(), 1..9),
        level in proptest::sample::select(SchemaLevel::ALL.to_vec()),
        space in proptest::sample::select(vec![Space::L2, Space::Ip, Space::Cosine]),
        limit in proptest::sample::select(vec![0_u8, 20, 100]),
    ) {
        let root = tempfile::tempdir().unwrap();
        let recipe = |operations| Recipe { level, space, ..Recipe::of(operations) };
        let dir = recipe(vec![]).make(root.path(), "base");
        let mut model = Model::new();
        let mut store = open(&dir);
        for (number, step) in steps.into_iter().enumerate() {
            let options = |when| FlushOptions {
                at_least: 0,
                when,
                threads: 1 + number % 2,
                rebuild_above_deleted_percent: limit,
                vacuum_above_free_percent: 100,
                seed: number as u64,
                read_back: true,
            };
            match step {
                Step::Merge(deltas, when) => {
                    let deltas: Vec<_> = deltas.into_iter().enumerate().map(|(at, changes)| {
                        let mut operations = Vec::new();
                        for (id, vector) in changes {
                            match vector {
                                Some(vector) => {
                                    model.insert(id.clone(), floats(vector));
                                    operations.push(Operation::upsert(id, &floats(vector), Patch::new()));
                                }
                                None => {
                                    // A delta logs only deletions of records that it has.
                                    model.remove(&id);
                                    operations.push(Operation::upsert(&id, &[0.0; 3], Patch::new()));
                                    operations.push(Operation::delete(id));
                                }
                            }
                        }
                        recipe(operations).make(root.path(), &format!("delta-{number}-{at}"))
                    }).collect();
                    let merge = MergeOptions { flush: options(when), ..MergeOptions::default() };
                    let report = store.merge(WORDS, &deltas, merge).unwrap();
                    prop_assert!(report.outcomes.iter().all(|outcome| outcome.result.is_ok()));
                    prop_assert_eq!(report.records_after as usize, model.len());
                }
                Step::Flush => drop(store.flush(WORDS, options(FlushWhen::Always)).unwrap()),
                Step::Rebuild(engine) => {
                    store.rebuild(WORDS, engine, options(FlushWhen::Always)).unwrap();
                }
                Step::Reopen => {
                    close(store);
                    store = open(&dir);
                }
            }
        }
        close(store);
        let found = vectors(&dir, space);
        prop_assert!(same(&found, &model), "{found:?}\n{model:?}");
        let searcher = Searcher::open(&dir, WORDS).unwrap();
        for id in model.keys() {
            let all = searcher.nearest(&Like::Id(id.clone()), 100, None).unwrap();
            prop_assert_eq!(all.len(), model.len(), "every record is reachable");
            prop_assert!(all.iter().any(|found| found.id == *id));
        }
    }
}
