//! Reads the index files of a directory by the offsets of hnswlib's format, independently of the code under
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

/// The content of the index files of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexFiles {
    /// The folder with the files.
    pub dir: PathBuf,
    /// Vectors as they are stored, and their norms in `length.bin`, by id. Without deleted elements.
    pub vectors: BTreeMap<String, (Vec<f32>, f32)>,
    /// Labels by id: `id_to_label` of the pickle.
    pub labels: BTreeMap<String, u64>,
    /// Elements in `data_level0.bin`, deleted ones too.
    pub elements: u64,
    /// How many of them are marked as deleted.
    pub deleted: u64,
    /// `maxM`, the most links of an element on each level above the lowest.
    pub max_links: u64,
    /// `ef_construction`, the candidates for links when an element is added.
    pub ef_construction: u64,
    /// `total_elements_added` of the pickle.
    pub total_elements_added: u64,
    /// `max_seq_id` of the pickle, if it has one.
    pub pickled_seq: Option<u64>,
    /// Entries in `id_to_seq_id` of the pickle.
    pub seq_ids: usize,
}

/// Reads the index files of the collection `name`. Returns `None` if the collection has no pickle.
pub fn read(dir: &Path, name: &str) -> Option<IndexFiles> {
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    let segment: String = connection
        .query_row(
            "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection
             WHERE c.name = ?1 AND s.scope = 'VECTOR'",
            [name],
            |row| row.get(0),
        )
        .unwrap();
    let dir = dir.join(segment);
    let pickle = std::fs::read(dir.join("index_metadata.pickle")).ok()?;
    let pickle: serde_pickle::Value =
        serde_pickle::value_from_slice(&pickle, serde_pickle::DeOptions::new()).unwrap();
    let pickle: Value = json_of(&pickle);
    let header = std::fs::read(dir.join("header.bin")).unwrap();
    assert_eq!(header.len(), 100);
    let u64_at =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let elements = u64_at(&header, 20);
    let record = usize::try_from(u64_at(&header, 28)).unwrap();
    let label_at = usize::try_from(u64_at(&header, 36)).unwrap();
    let vector_at = usize::try_from(u64_at(&header, 44)).unwrap();
    let level0 = std::fs::read(dir.join("data_level0.bin")).unwrap();
    let norms = std::fs::read(dir.join("length.bin")).unwrap();
    let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    let mut by_label = BTreeMap::new();
    let (mut deleted, mut seen) = (0, BTreeSet::new());
    for (at, bytes) in level0
        .chunks_exact(record)
        .take(elements as usize)
        .enumerate()
    {
        let label = u64_at(bytes, label_at);
        assert!(seen.insert(label), "label {label} twice");
        if bytes[2] & 1 == 1 {
            deleted += 1;
            continue;
        }
        let vector = bytes[vector_at..label_at]
            .chunks_exact(4)
            .map(float)
            .collect();
        by_label.insert(label, (vector, float(&norms[4 * at..4 * at + 4])));
    }
    let labels: BTreeMap<String, u64> = pickle["id_to_label"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, label)| (id.clone(), label.as_u64().unwrap()))
        .collect();
    assert_eq!(labels.len(), by_label.len(), "every live element has an id");
    let vectors = labels
        .iter()
        .map(|(id, label)| (id.clone(), by_label[label].clone()))
        .collect();
    for (label, id) in pickle["label_to_id"].as_object().unwrap() {
        assert_eq!(labels[id.as_str().unwrap()].to_string(), *label);
    }
    Some(IndexFiles {
        vectors,
        labels,
        elements,
        deleted,
        max_links: u64_at(&header, 60),
        ef_construction: u64_at(&header, 92),
        total_elements_added: pickle["total_elements_added"].as_u64().unwrap(),
        pickled_seq: pickle["max_seq_id"].as_u64(),
        seq_ids: pickle["id_to_seq_id"].as_object().unwrap().len(),
        dir,
    })
}

/// JSON has only strings for keys.
fn json_of(value: &serde_pickle::Value) -> Value {
    match value {
        serde_pickle::Value::Dict(entries) => entries
            .iter()
            .map(|(key, value)| (key_of(key), json_of(value)))
            .collect(),
        serde_pickle::Value::String(text) => text.clone().into(),
        serde_pickle::Value::I64(number) => (*number).into(),
        serde_pickle::Value::None => Value::Null,
        other => panic!("{other:?}"),
    }
}

fn key_of(key: &serde_pickle::HashableValue) -> String {
    match key {
        serde_pickle::HashableValue::String(text) => text.clone(),
        serde_pickle::HashableValue::I64(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}
