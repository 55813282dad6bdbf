//! Changes index parameters of a collection, in every place from which some chromadb reads them.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::Collection;
use crate::database::Database;
use crate::{SchemaLevel, Space};

/// Index parameters to set; a parameter that is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters {
    /// The distance that searches compare by.
    pub space: Option<Space>,
    /// Most links of an element above level 0 (hnswlib's `M`).
    pub max_neighbors: Option<u32>,
    /// Candidates that hnswlib keeps while it inserts an element.
    pub ef_construction: Option<u32>,
}

impl Parameters {
    /// Whether no parameter is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes them. The caller has to rebuild index files that exist.
    pub(crate) fn write(&self, db: Database<'_>, collection: &Collection) -> rusqlite::Result<()> {
        let Database {
            connection, level, ..
        } = db;
        let id = collection.id.to_string();
        let mut columns = vec!["config_json_str"];
        if level.has_schema_column() {
            columns.push("schema_str");
        }
        let mut is_in_json = false;
        for column in columns {
            let sql = format!("SELECT {column} FROM collections WHERE id = ?1");
            let text: Option<String> = connection.query_row(&sql, [&id], |row| row.get(0))?;
            let parsed = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if let Some(mut json) = parsed
                && self.write_json(&mut json)
            {
                let sql = format!("UPDATE collections SET {column} = ?2 WHERE id = ?1");
                connection.execute(&sql, params![id, json.to_string()])?;
                is_in_json = true;
            }
        }
        let segment = collection.vector_segment.to_string();
        // chromadb reads these rows where the JSON has nothing but defaults.
        let rows = "SELECT 1 FROM segment_metadata WHERE segment_id = ?1 AND key GLOB 'hnsw:*'";
        let has_rows = connection
            .query_row(rows, [&segment], |_| Ok(()))
            .optional()?
            .is_some();
        if has_rows || !is_in_json {
            self.write_rows(connection, "segment_metadata", "segment_id", &segment)?;
        }
        let rows =
            "SELECT 1 FROM collection_metadata WHERE collection_id = ?1 AND key GLOB 'hnsw:*'";
        let has_rows = connection
            .query_row(rows, [&id], |_| Ok(()))
            .optional()?
            .is_some();
        if has_rows || level == SchemaLevel::L06 {
            // chromadb 0.x keeps a copy of the user's parameters here and shows it; later versions
            // carry it along.
            self.write_rows(connection, "collection_metadata", "collection_id", &id)?;
        }
        Ok(())
    }

    /// Writes into the JSON; `false` if it has no place for them.
    fn write_json(&self, json: &mut Value) -> bool {
        let mut found = false;
        // chromadb 1.0 to 1.2: the space stands among the other parameters.
        if let Some(hnsw) = json.pointer_mut("/vector_index/hnsw") {
            self.write_numbers(hnsw);
            if let Some(space) = self.space {
                hnsw["space"] = space.name().into();
            }
            found = true;
        }
        // chromadb 1.3 and later: the parameters of the collection, and the defaults for new keys.
        for place in [
            "/keys/#embedding/float_list/vector_index/config",
            "/defaults/float_list/vector_index/config",
        ] {
            let Some(config) = json.pointer_mut(place).filter(|one| one.is_object()) else {
                continue;
            };
            if let Some(space) = self.space {
                config["space"] = space.name().into();
            }
            if !config["hnsw"].is_object() {
                config["hnsw"] = Value::Object(serde_json::Map::new());
            }
            self.write_numbers(&mut config["hnsw"]);
            found = true;
        }
        found
    }

    fn write_numbers(&self, hnsw: &mut Value) {
        if let Some(links) = self.max_neighbors {
            hnsw["max_neighbors"] = links.into();
        }
        if let Some(ef) = self.ef_construction {
            hnsw["ef_construction"] = ef.into();
        }
    }

    fn write_rows(
        &self,
        connection: &Connection,
        table: &str,
        owner: &str,
        id: &str,
    ) -> rusqlite::Result<()> {
        let space = self.space.map(Space::name);
        for (key, text, number) in [
            ("hnsw:space", space, None),
            ("hnsw:M", None, self.max_neighbors),
            ("hnsw:construction_ef", None, self.ef_construction),
        ] {
            if text.is_some() || number.is_some() {
                connection.execute(
                    &format!(
                        "INSERT OR REPLACE INTO {table} ({owner}, key, str_value, int_value)
                         VALUES (?1, ?2, ?3, ?4)"
                    ),
                    params![id, key, text, number],
                )?;
            }
        }
        Ok(())
    }
}
