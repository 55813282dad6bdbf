//! Checks the configuration of a collection of unknown origin: it is small, and every chromadb can
//! read its shape. If chromadb could not read it, no reader could open the collection again.

use std::collections::HashSet;
use std::fmt;

use rusqlite::Connection;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::config::present;
use crate::database::Database;
use crate::{StoreError, StoreResult};

/// The most bytes of `config_json_str`, and of `schema_str`. chromadb writes hundreds or a few
/// thousand.
const LONGEST: i64 = 64 << 10;
/// The most bytes of the metadata of all collections and segments together.
const METADATA: i64 = 1 << 20;

/// Refuses a delta whose configurations are so large that they would cost each cycle more than its
/// records. Measures them without reading them.
///
/// # Errors
/// `ConfigurationTooLarge`.
pub(crate) fn refuse_large_configurations(db: Database<'_>) -> StoreResult<()> {
    let found = too_large(db.connection, db.level.has_schema_column())
        .map_err(db.failed("measure the configurations"))?;
    match found {
        None => Ok(()),
        Some(detail) => Err(StoreError::ConfigurationTooLarge {
            path: db.path(),
            detail,
        }),
    }
}

/// Why the configurations in a database are too large, if they are.
fn too_large(connection: &Connection, has_schema_column: bool) -> rusqlite::Result<Option<String>> {
    let columns: &[&str] = match has_schema_column {
        true => &["config_json_str", "schema_str"],
        false => &["config_json_str"],
    };
    for column in columns {
        let sql = format!("SELECT coalesce(max(octet_length({column})), 0) FROM collections");
        let found: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if found > LONGEST {
            return Ok(Some(format!(
                "a {column} has {found} bytes, and a delta's may have {LONGEST}"
            )));
        }
    }
    for table in ["collection_metadata", "segment_metadata"] {
        // Code that needs the missing table reports it.
        if !connection.table_exists(None, table)? {
            continue;
        }
        let sql = format!(
            "SELECT coalesce(sum(8 + octet_length(key) + coalesce(octet_length(str_value), 0)), 0)
             FROM {table}"
        );
        let found: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if found > METADATA {
            return Ok(Some(format!(
                "{table} has {found} bytes, and a delta's may have {METADATA}"
            )));
        }
    }
    Ok(None)
}

/// Checks the text of `column`, `config_json_str` or `schema_str`.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(column: &str, text: Option<&str>) -> Result<(), String> {
    let Some(text) = present(text) else {
        return Ok(());
    };
    let wrong = |error: serde_json::Error| format!("{column}: {error}");
    serde_json::from_str::<Unambiguous>(text).map_err(wrong)?;
    let json: Value = serde_json::from_str(text).map_err(wrong)?;
    if !json.is_object() {
        return Err(format!("{column} is no JSON object"));
    }
    for key in ["vector_index", "embedding_function", "defaults", "keys"] {
        let part = json.get(key);
        if part.is_some_and(|part| !part.is_object() && !part.is_null()) {
            return Err(format!("{column}: {key} is no JSON object"));
        }
    }
    Ok(())
}

/// JSON in which no object has a key twice: readers differ in which of the two values they take.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Unambiguous>()?;
            if keys.contains(&key) {
                return Err(A::Error::custom(format!("it has the key `{key}` twice")));
            }
            keys.insert(key);
        }
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Unambiguous, A::Error> {
        while values.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_that_chromadb_cannot_read_is_refused() {
        for good in [
            "",
            "null",
            "{}",
            r#" {"vector_index": {"hnsw": {"space": "l2"}}} "#,
        ] {
            assert_eq!(check("config_json_str", Some(good)), Ok(()), "{good}");
        }
        for bad in [
            "\u{c}{\"vector_index\": {}}",
            "\u{a0}{}",
            r#"{"vector_index": 5}"#,
            r#""x""#,
            "[]",
            r#"{"embedding_function": "openai"}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"embedding_function": {}, "embedding\u005ffunction": {"type": "legacy"}}"#,
            "{",
        ] {
            assert!(check("config_json_str", Some(bad)).is_err(), "{bad}");
        }
    }
}
