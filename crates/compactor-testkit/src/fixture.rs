//! Makes Chroma directories for tests.

use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, ClosedStore, CreateOptions, DOCUMENT_KEY, NewIds, Operation, SchemaLevel, Space,
    create, pack,
};
use rusqlite::Connection;
use uuid::Uuid;

use crate::cli::Workdir;

/// Makes the directory `name` with the collection `collection`, and gives its path. It has `records`
/// records, `{name}-0` and so on, with documents; their vectors have `dimension` elements.
pub fn directory(
    workdir: &Workdir,
    name: &str,
    collection: &str,
    records: usize,
    dimension: usize,
) -> PathBuf {
    let dir = workdir.path(name);
    let options = CreateOptions {
        collection: collection.to_owned(),
        space: Space::L2,
        level: SchemaLevel::L15,
    };
    let [collection_id, vector_segment, metadata_segment] =
        [1, 2, 3].map(|number| Uuid::from_u64_pair(number, records as u64));
    let ids = NewIds {
        collection: collection_id,
        vector_segment,
        metadata_segment,
    };
    let mut store = create(&dir, &options, ids).unwrap();
    let operations = (0..records).map(|number| {
        let vector: Vec<f32> = (0..dimension).map(|at| (number + at) as f32).collect();
        let text = format!("document {number} in {name}");
        let patch = vec![(DOCUMENT_KEY.to_owned(), Some(text.as_str().into()))];
        Operation::upsert(format!("{name}-{number}"), &vector, patch)
    });
    store.write(collection, operations).unwrap();
    store.close(&CloseOptions::default()).unwrap();
    dir
}

/// Makes the directory `name` with ten records in the collection `words`; their vectors have two
/// elements.
pub fn words(workdir: &Workdir, name: &str) -> PathBuf {
    directory(workdir, name, "words", 10, 2)
}

/// SQL that makes the full text of one record differ from its document.
pub const OTHER_TEXT: &str =
    "UPDATE embedding_fulltext_search SET string_value = 'other' WHERE rowid = 3";

/// Runs SQL on the database of `dir`, without the store and its checks.
pub fn tamper(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

/// A closed directory as a gzip-compressed tar archive.
pub fn packed(dir: &Path) -> Vec<u8> {
    let store = ClosedStore::prove(dir, &CloseOptions::default()).unwrap();
    pack(&store, &[], Vec::new()).unwrap()
}

/// The sorted ids of the records in directories that [`directory`] made, from their names and record counts.
pub fn ids(names: &[(&str, usize)]) -> Vec<String> {
    let records = names
        .iter()
        .flat_map(|(name, records)| (0..*records).map(move |n| format!("{name}-{n}")));
    let mut ids: Vec<String> = records.collect();
    ids.sort();
    ids
}
