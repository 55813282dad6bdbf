//! Index parameters of a collection: each schema level keeps them in another place.

use std::collections::BTreeMap;

use rusqlite::types::Value as SqlValue;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::database::Database;
use crate::{Space, StoreResult};

/// HNSW parameters of a collection, as chromadb resolves them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HnswConfig {
    /// The distance that searches compare by.
    pub space: Space,
    /// Candidates that hnswlib keeps while it inserts an element.
    pub ef_construction: u32,
    /// Candidates that hnswlib keeps during a search.
    pub ef_search: u32,
    /// Most links of an element above level 0 (hnswlib's `M`).
    pub max_neighbors: u32,
    /// Log records after which chromadb writes the index files. Some users set a huge number, so
    /// that it never does.
    pub sync_threshold: u64,
}

impl Default for HnswConfig {
    /// The defaults of chromadb 1.x.
    fn default() -> Self {
        Self {
            space: Space::L2,
            ef_construction: 100,
            ef_search: 100,
            max_neighbors: 16,
            sync_threshold: 1000,
        }
    }
}

/// `segment_metadata` rows of a VECTOR segment: key to value.
pub(crate) type SegmentMetadata = BTreeMap<String, SqlValue>;

impl HnswConfig {
    /// Resolves the parameters as chromadb does: `schema_str` (level L13 on), else
    /// `config_json_str` (L10 on); where these say nothing but defaults, the VECTOR segment's
    /// `hnsw:*` metadata (the only place at L06).
    pub(crate) fn resolve(
        config_json: Option<&str>,
        schema_json: Option<&str>,
        segment_metadata: &SegmentMetadata,
    ) -> Result<Self, String> {
        // chromadb reads this column in any case, and fails if it cannot parse it.
        if let Some(text) = present(config_json) {
            parse("config_json_str", text)?;
        }
        let stored = match present(schema_json) {
            Some(text) => Self::from_schema(&parse("schema_str", text)?)?,
            None => match present(config_json) {
                Some(text) => Self::from_config(&parse("config_json_str", text)?)?,
                None => Self::default(),
            },
        };
        if stored == Self::default() {
            Self::from_segment_metadata(segment_metadata)
        } else {
            Ok(stored)
        }
    }

    /// `schema_str`: `keys["#embedding"].float_list.vector_index.config`.
    fn from_schema(schema: &Value) -> Result<Self, String> {
        let index = schema.pointer("/keys/#embedding/float_list/vector_index/config");
        let Some(index) = index else {
            return Ok(Self::default());
        };
        let hnsw = index.get("hnsw").unwrap_or(&Value::Null);
        Self::from_json(index.get("space"), hnsw)
    }

    /// `config_json_str`: `vector_index.hnsw`. The legacy form of 0.x has no such key.
    fn from_config(config: &Value) -> Result<Self, String> {
        match config.pointer("/vector_index/hnsw") {
            Some(hnsw) => Self::from_json(hnsw.get("space"), hnsw),
            None => Ok(Self::default()),
        }
    }

    fn from_json(space: Option<&Value>, hnsw: &Value) -> Result<Self, String> {
        let default = Self::default();
        let space = match space {
            None | Some(Value::Null) => default.space,
            Some(Value::String(name)) => name.parse()?,
            Some(other) => return Err(format!("space is {other}")),
        };
        let number = |key: &str| match hnsw.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| format!("hnsw.{key} is {value}")),
        };
        Ok(Self {
            space,
            ef_construction: small(number("ef_construction")?, default.ef_construction),
            ef_search: small(number("ef_search")?, default.ef_search),
            max_neighbors: small(number("max_neighbors")?, default.max_neighbors),
            sync_threshold: number("sync_threshold")?.unwrap_or(default.sync_threshold),
        })
    }

    fn from_segment_metadata(rows: &SegmentMetadata) -> Result<Self, String> {
        let default = Self::default();
        let space = match rows.get("hnsw:space") {
            None => default.space,
            Some(SqlValue::Text(name)) => name.parse()?,
            Some(other) => return Err(format!("hnsw:space is {other:?}")),
        };
        let number = |key: &str| match rows.get(key) {
            None => Ok(None),
            Some(SqlValue::Integer(value)) => match u64::try_from(*value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!("{key} is {value}")),
            },
            Some(other) => Err(format!("{key} is {other:?}")),
        };
        Ok(Self {
            space,
            ef_construction: small(number("hnsw:construction_ef")?, default.ef_construction),
            ef_search: small(number("hnsw:search_ef")?, default.ef_search),
            max_neighbors: small(number("hnsw:M")?, default.max_neighbors),
            sync_threshold: number("hnsw:sync_threshold")?.unwrap_or(default.sync_threshold),
        })
    }
}

/// Clamps a parameter of the graph to u32: no graph has that many elements.
fn small(given: Option<u64>, default: u32) -> u32 {
    given.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// NULL, the empty string and JSON null all mean "absent" to chromadb.
pub(crate) fn present(text: Option<&str>) -> Option<&str> {
    // JSON knows no other white space.
    text.map(|text| text.trim_matches([' ', '\t', '\n', '\r']))
        .filter(|text| !text.is_empty() && *text != "null" && *text != "{}")
}

fn parse(column: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{column} is not JSON: {error}"))
}

pub(crate) fn read_segment_metadata(
    db: Database<'_>,
    segment: Uuid,
) -> StoreResult<SegmentMetadata> {
    db.connection
        .prepare_cached(
            "SELECT key, coalesce(str_value, int_value, float_value, bool_value)
             FROM segment_metadata WHERE segment_id = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_map([segment.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .map_err(db.failed("read the segment metadata"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_configuration_falls_back_to_segment_metadata() {
        let rows = SegmentMetadata::from([
            ("hnsw:space".to_owned(), SqlValue::Text("cosine".to_owned())),
            ("hnsw:sync_threshold".to_owned(), SqlValue::Integer(7)),
        ]);
        let legacy = r#"{"hnsw_configuration": {"space": "l2", "_type": "x"}, "_type": "y"}"#;
        let config = HnswConfig::resolve(Some(legacy), None, &rows).unwrap();
        assert_eq!((config.space, config.sync_threshold), (Space::Cosine, 7));
    }

    #[test]
    fn schema_column_wins_over_configuration_column() {
        let schema = r##"{"keys":{"#embedding":{"float_list":{"vector_index":{"config":
            {"space":"ip","hnsw":{"max_neighbors":8}}}}}}}"##;
        let config = r#"{"vector_index":{"hnsw":{"space":"cosine"}}}"#;
        let resolved = HnswConfig::resolve(Some(config), Some(schema), &SegmentMetadata::new());
        let resolved = resolved.unwrap();
        assert_eq!((resolved.space, resolved.max_neighbors), (Space::Ip, 8));
    }

    #[test]
    fn unknown_space_is_refused_by_name() {
        let config = r#"{"vector_index":{"hnsw":{"space":"hamming"}}}"#;
        let error = HnswConfig::resolve(Some(config), None, &SegmentMetadata::new()).unwrap_err();
        assert!(error.contains("hamming"), "{error}");
    }
}
