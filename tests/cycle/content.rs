//! What is published, as a reader gets it: downloaded, checked against its manifest and by the
//! store's own verification, and read with plain SQL.

use std::collections::BTreeMap;
use std::path::Path;

use chroma_store::{
    CloseOptions, ClosedStore, DATABASE_NAME, DOCUMENT_KEY, FullName, MetadataValue, Operation,
    Scalar, StoredFile, VerifyLevel,
};
use compactor_core::Manifest;
use compactor_snapshots::Published;
use compactor_testkit::index_files;
use rusqlite::{Connection, OpenFlags, Row};

use crate::world::{World, lineage};

/// Records by id.
pub(crate) type Content = BTreeMap<String, Record>;

/// A record with values that can be compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) document: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Bytes as they are stored; a vector must come through to the bit.
    pub(crate) vector: Option<Vec<u8>>,
}

impl Record {
    /// The record that an upsert of a new id makes.
    pub(crate) fn of(operation: &Operation) -> Self {
        let mut record = Self {
            vector: operation.vector.clone(),
            ..Self::default()
        };
        for (key, value) in &operation.patch {
            let Some(MetadataValue::Scalar(value)) = value else {
                continue;
            };
            record.set(key, text(value));
        }
        record
    }

    fn set(&mut self, key: &str, value: String) {
        if key == DOCUMENT_KEY {
            self.document = Some(value);
        } else {
            self.metadata.insert(key.to_owned(), value);
        }
    }
}

/// The same with vectors in thousandths: cosine index files keep them up to rounding.
pub(crate) fn in_thousandths(mut content: Content) -> Content {
    for record in content.values_mut() {
        let bytes = record.vector.take().unwrap_or_default();
        let floats = bytes
            .chunks_exact(4)
            .map(|x| f32::from_le_bytes(x.try_into().unwrap()));
        record.vector = Some(
            floats
                .flat_map(|x| ((x * 1000.0).round() as i32).to_le_bytes())
                .collect(),
        );
    }
    content
}

fn text(value: &Scalar) -> String {
    match value {
        Scalar::String(text) => text.clone(),
        Scalar::Int(int) => int.to_string(),
        Scalar::Float(float) => float.to_string(),
        Scalar::Bool(flag) => flag.to_string(),
    }
}

/// A published snapshot that was found complete and sound.
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) files: Vec<StoredFile>,
    pub(crate) content: Content,
    pub(crate) full_name: FullName,
}

impl Snapshot {
    pub(crate) fn version(&self) -> String {
        self.manifest.version.to_string()
    }

    /// The ids of the runs of its whole lineage.
    pub(crate) fn lineage(&self) -> Vec<&str> {
        let runs = self.manifest.applied_runs.iter();
        runs.map(compactor_core::RunId::as_str).collect()
    }
}

impl World {
    /// Reads what the pointer names; every call is a check of invariant I1.
    pub(crate) fn snapshot(&self, collection: &str) -> Option<Snapshot> {
        let published = self.wait(self.repository().resolve(&lineage(collection)));
        published
            .unwrap()
            .map(|published| self.read(&published, collection))
    }

    /// The content of what the pointer names.
    pub(crate) fn content(&self, collection: &str) -> Content {
        self.snapshot(collection)
            .unwrap_or_else(|| panic!("nothing is published for {collection}"))
            .content
    }

    fn read(&self, published: &Published, collection: &str) -> Snapshot {
        let dir = tempfile::tempdir().unwrap();
        let limits = &self.settings.limits;
        self.wait(self.repository().fetch(published, dir.path(), limits))
            .unwrap();
        let store = ClosedStore::prove(dir.path(), &CloseOptions::default()).unwrap();
        let report = store.verify(VerifyLevel::Full).unwrap();
        let content = read_records(dir.path(), collection);
        let found = report.collection(collection).unwrap();
        let manifest = published.manifest().unwrap().clone();
        assert_eq!(manifest.rows.records, content.len() as u64);
        assert_eq!(manifest.rows.records, found.records);
        assert_eq!(manifest.rows.dimension, found.dimension);
        assert_eq!(manifest.rows.space, found.space.to_string());
        assert_eq!(manifest.rows.schema_level, report.schema_level.to_string());
        Snapshot {
            manifest,
            files: store.files().unwrap(),
            content,
            full_name: found.full_name.clone(),
        }
    }
}

/// Reads a collection's records with SQL alone.
fn read_records(dir: &Path, collection: &str) -> Content {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(dir.join(DATABASE_NAME), flags).unwrap();
    let mut content = Content::new();
    let sql = "SELECT e.embedding_id, m.key, m.string_value, m.int_value, m.float_value,
                      m.bool_value
               FROM collections c
               JOIN segments s ON s.collection = c.id AND s.scope = 'METADATA'
               JOIN embeddings e ON e.segment_id = s.id
               LEFT JOIN embedding_metadata m ON m.id = e.id
               WHERE c.name = ?1";
    each(&database, sql, collection, |row| {
        let record = content.entry(row.get(0)?).or_default();
        if let Some(key) = row.get::<_, Option<String>>(1)? {
            record.set(&key, value(row)?);
        }
        Ok(())
    });
    for (id, (vector, norm)) in
        index_files::read(dir, collection).map_or_else(BTreeMap::new, |f| f.vectors)
    {
        if let Some(record) = content.get_mut(&id) {
            let as_given = vector.iter().flat_map(|x| (x * norm).to_le_bytes());
            record.vector = Some(as_given.collect());
        }
    }
    // What waits in the log is newer; the last one of an id counts.
    let sql = "SELECT q.id, q.vector FROM embeddings_queue q
               JOIN collections c ON q.topic = 'persistent://default/default/' || c.id
               WHERE c.name = ?1 AND q.vector IS NOT NULL ORDER BY q.seq_id";
    each(&database, sql, collection, |row| {
        if let Some(record) = content.get_mut(&row.get::<_, String>(0)?) {
            record.vector = Some(row.get(1)?);
        }
        Ok(())
    });
    content
}

fn each(
    database: &Connection,
    sql: &str,
    collection: &str,
    mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) {
    let mut statement = database.prepare(sql).unwrap();
    let mut rows = statement.query([collection]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        visit(row).unwrap();
    }
}

/// The one typed column that is set.
fn value(row: &Row<'_>) -> rusqlite::Result<String> {
    if let Some(text) = row.get::<_, Option<String>>(2)? {
        return Ok(text);
    }
    if let Some(int) = row.get::<_, Option<i64>>(3)? {
        return Ok(int.to_string());
    }
    if let Some(float) = row.get::<_, Option<f64>>(4)? {
        return Ok(float.to_string());
    }
    row.get::<_, bool>(5).map(|flag| flag.to_string())
}
