//! Reads the collections of a damaged database, each as far as possible. What a collection lacks is
//! inferred from rows that refer to it.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::source::{Record, Source};
use super::{Lost, rows};
use crate::collection::{
    DEFAULT_DATABASE, DEFAULT_TENANT, SegmentMetadata, decode_seq, read_segment_metadata,
};
use crate::create::{DEFAULT_DATABASE_ID, Like};
use crate::{Collection, FullName, HnswConfig, StoreResult};

/// A row of `segments`.
#[derive(Debug)]
struct Segment {
    id: Uuid,
    scope: String,
    collection: String,
}

/// A row of `collections`, unchecked.
#[derive(Debug)]
struct Row {
    id: Uuid,
    name: String,
    dimension: Option<u32>,
    database: String,
    config: Option<String>,
    schema: Option<String>,
    /// The row is lost; these values are inferred.
    is_lost: bool,
}

/// All collections. `records` are the records of all of them.
pub(super) fn read(
    source: &Source,
    records: &[Record],
    lost: &mut Vec<Lost>,
) -> StoreResult<Vec<Like>> {
    let databases: HashMap<String, (String, String)> = rows::table(
        source.connection(),
        ["databases", "id, name, tenant_id"],
        lost,
        |row| Ok((row.get(1)?, (row.get(2)?, row.get(3)?))),
    )
    .into_iter()
    .collect();
    let segments = rows::table(
        source.connection(),
        ["segments", "id, scope, collection"],
        lost,
        |row| {
            Ok(Segment {
                id: uuid(row, 1)?,
                scope: row.get(2)?,
                collection: row.get(3)?,
            })
        },
    );
    let progress: HashMap<String, u64> = rows::table(
        source.connection(),
        ["max_seq_id", "segment_id, seq_id"],
        lost,
        |row| Ok((row.get(1)?, decode_seq(row.get_ref(2)?)?)),
    )
    .into_iter()
    .collect();
    let schema = match source.database().level.has_schema_column() {
        true => "schema_str",
        false => "NULL",
    };
    let columns = format!("id, name, dimension, database_id, config_json_str, {schema}");
    let all = rows::table(
        source.connection(),
        ["collections", &columns],
        lost,
        |row| {
            Ok(Row {
                id: uuid(row, 1)?,
                name: row.get(2)?,
                dimension: row.get(3).unwrap_or_default(),
                database: row.get(4).unwrap_or_default(),
                config: row.get(5).unwrap_or_default(),
                schema: row.get(6).unwrap_or_default(),
                is_lost: false,
            })
        },
    );
    let all = with_nameless(all, &segments, lost);
    let segment_of = |row: &Row, scope: &str| {
        let id = row.id.to_string();
        let mut found = segments.iter();
        found
            .find(|segment| segment.collection == id && segment.scope == scope)
            .map(|segment| segment.id)
    };
    let forgotten = forgotten_segment(&all, &segments, records);
    all.into_iter()
        .map(|row| {
            let metadata_segment = segment_of(&row, "METADATA")
                .or(forgotten)
                .unwrap_or_default();
            let vector_segment = segment_of(&row, "VECTOR")
                .or_else(|| forgotten_folder(source, &segments, metadata_segment, records))
                .unwrap_or_default();
            let place = databases.get(&row.database).cloned();
            let (database, tenant) = place.unwrap_or_else(|| match row.database.as_str() {
                DEFAULT_DATABASE_ID => (DEFAULT_DATABASE.to_owned(), DEFAULT_TENANT.to_owned()),
                other => (other.to_owned(), DEFAULT_TENANT.to_owned()),
            });
            let name = FullName {
                tenant,
                database,
                name: row.name.clone(),
            };
            let hnsw = read_segment_metadata(source.database(), vector_segment).unwrap_or_default();
            let (config, is_broken) = match parameters(&row, &hnsw) {
                Ok(config) => (config, row.is_lost),
                Err((config, reason)) => {
                    let reason = format!(
                        "its configuration: {reason}; in its place is space {} with M {}",
                        config.space, config.max_neighbors
                    );
                    lost.push(Lost {
                        collection: Some(name.to_string()),
                        ..Lost::part(reason)
                    });
                    (config, true)
                }
            };
            let of = |segment: Uuid| progress.get(&segment.to_string()).copied();
            Ok(Like {
                collection: Collection {
                    id: row.id,
                    dimension: row.dimension.filter(|dimension| *dimension > 0),
                    vector_segment,
                    metadata_segment,
                    config,
                    // The configuration keeps them.
                    embedding_functions: Vec::new(),
                    metadata_seq: of(metadata_segment),
                    vector_seq: of(vector_segment),
                    name,
                },
                database_id: row.database,
                config: row.config.filter(|_| !is_broken),
                schema: row.schema.filter(|_| !is_broken),
                has_configuration: !is_broken,
            })
        })
        .collect()
}

/// Adds the collections of which only segments are left, and names them after their ids.
fn with_nameless(mut all: Vec<Row>, segments: &[Segment], lost: &mut Vec<Lost>) -> Vec<Row> {
    for segment in segments
        .iter()
        .filter(|segment| segment.scope == "METADATA")
    {
        let Ok(id) = Uuid::try_parse(&segment.collection) else {
            continue;
        };
        if all.iter().any(|row| row.id == id) {
            continue;
        }
        let name = format!("lost-{}", id.simple());
        lost.push(Lost {
            collection: Some(name.clone()),
            ..Lost::part("its row of collections: name, database and configuration".to_owned())
        });
        all.push(Row {
            id,
            name,
            dimension: None,
            database: DEFAULT_DATABASE_ID.to_owned(),
            config: None,
            schema: None,
            is_lost: true,
        });
    }
    all
}

/// The index parameters of a collection. If one place cannot be read, returns those of another, and
/// the reason.
fn parameters(row: &Row, hnsw: &SegmentMetadata) -> Result<HnswConfig, (HnswConfig, String)> {
    let (config, schema) = (row.config.as_deref(), row.schema.as_deref());
    HnswConfig::resolve(config, schema, hnsw).map_err(|reason| {
        let space = hnsw.iter().filter(|(key, _)| *key == "hnsw:space");
        let space = space.map(|(key, value)| (key.clone(), value.clone()));
        let space: SegmentMetadata = space.collect();
        let without = [
            (None, schema, hnsw),
            (config, None, hnsw),
            (None, None, hnsw),
            (None, None, &space),
        ];
        let mut others = without
            .into_iter()
            .filter_map(|(config, schema, hnsw)| HnswConfig::resolve(config, schema, hnsw).ok());
        (others.next().unwrap_or_default(), reason)
    })
}

/// The segment that records name and `segments` lacks, if exactly one collection lacks a metadata
/// segment. With more of either, the owner cannot be decided.
fn forgotten_segment(all: &[Row], segments: &[Segment], records: &[Record]) -> Option<Uuid> {
    let known: HashSet<String> = segments.iter().map(|one| one.id.to_string()).collect();
    let unknown: BTreeSet<&str> = records
        .iter()
        .map(|record| record.segment.as_str())
        .filter(|segment| !known.contains(*segment))
        .collect();
    let has_segment = |row: &&Row| {
        let id = row.id.to_string();
        let mut of_records = segments.iter().filter(|one| one.scope == "METADATA");
        of_records.any(|segment| segment.collection == id)
    };
    let without = all.len() - all.iter().filter(has_segment).count();
    match (unknown.first(), unknown.len(), without) {
        (Some(segment), 1, 1) => Uuid::try_parse(segment).ok(),
        _ => None,
    }
}

/// The folder that no segment names and that has index files for records of a collection.
fn forgotten_folder(
    source: &Source,
    segments: &[Segment],
    metadata_segment: Uuid,
    records: &[Record],
) -> Option<Uuid> {
    let segment = metadata_segment.to_string();
    let own = records.iter().filter(|record| record.segment == segment);
    let own: HashSet<&str> = own.map(|record| record.id.as_str()).collect();
    let names = source.folders().into_iter();
    let unnamed = names
        .filter_map(|folder| Uuid::try_parse(folder.file_name()?.to_str()?).ok())
        .filter(|id| segments.iter().all(|segment| segment.id != *id));
    unnamed
        .map(|id| (source.records_in(&source.folder(id), &own), id))
        .filter(|(count, _)| *count > 0)
        .max()
        .map(|(_, id)| id)
}

fn uuid(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let text: String = row.get(column)?;
    Uuid::try_parse(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}
