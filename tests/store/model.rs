//! Any sequence of operations and merges, against a plain map.

use std::collections::BTreeMap;

use chroma_store::{
    CloseOptions, MergeOptions, MetadataValue, OpenOptions, Operation, OperationKind, SchemaLevel,
    Store, VerifyLevel,
};
use proptest::prelude::*;
use rusqlite::types::Value;

use crate::content;
use crate::directory::{Recipe, WORDS};

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    metadata: BTreeMap<String, Option<i64>>,
    vector: Vec<u8>,
}

fn operation() -> impl Strategy<Value = Operation> {
    let kind = prop_oneof![
        Just(OperationKind::Add),
        Just(OperationKind::Update),
        Just(OperationKind::Upsert),
        Just(OperationKind::Delete),
    ];
    let patch = proptest::collection::btree_map("[a-d]", proptest::option::of(any::<i64>()), 0..4);
    (kind, "[a-h]", proptest::option::of(any::<[i8; 3]>()), patch).prop_map(
        |(kind, id, vector, patch)| {
            let needed = matches!(kind, OperationKind::Add | OperationKind::Upsert);
            let vector = if needed {
                Some(vector.unwrap_or([1; 3]))
            } else {
                vector
            };
            let delete = kind == OperationKind::Delete;
            Operation {
                kind,
                id,
                vector: vector
                    .filter(|_| !delete)
                    .map(|v| v.iter().flat_map(|x| f32::from(*x).to_le_bytes()).collect()),
                patch: if delete {
                    Vec::new()
                } else {
                    patch
                        .into_iter()
                        .map(|(k, v)| (k, v.map(MetadataValue::from)))
                        .collect()
                },
            }
        },
    )
}

fn apply(model: &mut BTreeMap<String, Model>, operation: &Operation) {
    let exists = model.contains_key(&operation.id);
    match operation.kind {
        OperationKind::Delete => drop(model.remove(&operation.id)),
        OperationKind::Add if exists => {}
        OperationKind::Update if !exists => {}
        _ => {
            let record = model.entry(operation.id.clone()).or_default();
            if let Some(vector) = &operation.vector {
                record.vector.clone_from(vector);
            }
            for (key, value) in &operation.patch {
                match value {
                    Some(MetadataValue::Scalar(chroma_store::Scalar::Int(value))) => {
                        record.metadata.insert(key.clone(), Some(*value));
                    }
                    _ => drop(record.metadata.remove(key)),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_merges_equals_a_map(
        base in proptest::collection::vec(operation(), 0..12),
        deltas in proptest::collection::vec(proptest::collection::vec(operation(), 0..12), 1..4),
        level in proptest::sample::select(SchemaLevel::ALL.to_vec()),
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut model = BTreeMap::new();
        base.iter().for_each(|operation| apply(&mut model, operation));
        let base = Recipe { level, operations: base, ..Recipe::default() }.make(root.path(), "base");
        let mut dirs = Vec::new();
        for (number, operations) in deltas.into_iter().enumerate() {
            // The merge replays a delta's whole log. An add of an id that was new to the delta is an upsert.
            let mut own = BTreeMap::new();
            for operation in &operations {
                let kind = match operation.kind {
                    OperationKind::Add if !own.contains_key(&operation.id) => OperationKind::Upsert,
                    kind => kind,
                };
                apply(&mut own, operation);
                apply(&mut model, &Operation { kind, ..operation.clone() });
            }
            let recipe = Recipe { level, operations, ..Recipe::default() };
            dirs.push(recipe.make(root.path(), &format!("delta{number}")));
        }
        let mut store = Store::open(&base, OpenOptions::default()).unwrap();
        let report = store.merge(WORDS, &dirs, MergeOptions::default()).unwrap();
        for outcome in &report.outcomes {
            prop_assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        }
        prop_assert_eq!(report.records_after as usize, model.len());
        let closed = store.close(&CloseOptions::default()).unwrap();
        closed.verify(VerifyLevel::Full).unwrap();
        let found: BTreeMap<String, Model> = content::read(&base)
            .into_iter()
            .map(|(id, record)| {
                let metadata = record
                    .metadata
                    .into_iter()
                    .map(|(key, values)| match values.as_slice() {
                        [Value::Integer(value)] => (key, Some(*value)),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                (id, Model { metadata, vector: record.vector.unwrap_or_default() })
            })
            .collect();
        prop_assert_eq!(found, model);
    }
}
