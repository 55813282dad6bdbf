//! Embedding functions that a collection's configuration names.
//!
//! The chromadb of a reader instantiates them when it opens the collection. It then sends every
//! query to the address in their configuration, with the secret in the environment variable that
//! the configuration names. So a configuration of unknown origin must not choose one.
//!
//! In chromadb 1.x, `config_json_str` has one under `embedding_function`; `schema_str` (1.3 and
//! later) has one beside each vector index.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const KEY: &str = "embedding_function";
/// The function of sparse vectors stands beside this index.
const SPARSE: &str = "sparse_vector_index";
/// The function that chromadb takes where the configuration names none. It calls no service, and
/// its configuration is empty.
const DEFAULT: &str = "default";

/// An embedding function, by the name under which chromadb registers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingFunction {
    /// Its registered name, such as `openai`.
    pub name: String,
    /// Its arguments: model, address, the environment variable that has the key.
    #[serde(default)]
    pub config: Map<String, Value>,
}

impl fmt::Display for EmbeddingFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.config.is_empty() {
            true => Ok(()),
            false => write!(f, " {}", Value::Object(self.config.clone())),
        }
    }
}

impl EmbeddingFunction {
    /// Reads a function that chromadb would instantiate; `None` for the values that name no
    /// function.
    fn read(value: &Value) -> Option<Self> {
        // For a dense index, chromadb instantiates every other type that has a name.
        let stands_for_none = match value.get("type").and_then(Value::as_str) {
            Some("legacy") => true,
            Some("unknown") => value.get("name").is_none(),
            _ => value.is_null(),
        };
        if stands_for_none {
            return None;
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let config = value.get("config").and_then(Value::as_object);
        Some(Self {
            name: text("name").unwrap_or_default().to_owned(),
            config: config.cloned().unwrap_or_default(),
        })
    }

    /// Whether both have the same name and arguments. chromadb writes null for an argument that is
    /// not given.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let given = |one: &Self| {
            let config = one.config.iter().filter(|(_, value)| !value.is_null());
            let config = config.map(|(key, value)| (key.clone(), value.clone()));
            config.collect::<std::collections::BTreeMap<_, _>>()
        };
        self.name == other.name && given(self) == given(other)
    }

    fn is_default(&self) -> bool {
        self.name == DEFAULT && self.config.is_empty()
    }
}

/// The embedding functions that the columns of a collection name, each once, without chromadb's
/// default.
pub(crate) fn named<'c>(
    columns: impl IntoIterator<Item = Option<&'c str>>,
) -> Vec<EmbeddingFunction> {
    let columns = columns.into_iter().flatten();
    let mut named = Vec::new();
    // `load_all` and `load_one` refuse a column that is not JSON.
    for mut json in columns.filter_map(|text| serde_json::from_str(text).ok()) {
        visit(&mut json, false, &mut |value, _| {
            let found = EmbeddingFunction::read(value).filter(|one| !one.is_default());
            named.extend(found.filter(|one| !named.contains(one)));
        });
    }
    named
}

/// Removes the embedding functions that are neither `allowed` nor chromadb's default. Returns the
/// new text of the column and the removed functions. If there are none, the text stays the same to
/// the byte.
pub(crate) fn only_allowed(
    column: String,
    allowed: &[EmbeddingFunction],
) -> (String, Vec<EmbeddingFunction>) {
    let Ok(mut json) = serde_json::from_str::<Value>(&column) else {
        return (column, Vec::new());
    };
    let mut left_out = Vec::new();
    visit(&mut json, false, &mut |value, is_sparse| {
        if let Some(found) = EmbeddingFunction::read(value)
            && !found.is_default()
            && !allowed.iter().any(|one| one.is(&found))
        {
            let none = if is_sparse { "unknown" } else { "legacy" };
            // No deeper than before, so that the nesting limit of readers still holds.
            *value = match value {
                Value::Object(_) | Value::Array(_) => json!({ "type": none }),
                _ => Value::Null,
            };
            left_out.push(found);
        }
    });
    match left_out.is_empty() {
        true => (column, left_out),
        false => (json.to_string(), left_out),
    }
}

/// Calls `each` with the value of every key `embedding_function`, and with whether it belongs to
/// sparse vectors.
fn visit(json: &mut Value, is_sparse: bool, each: &mut impl FnMut(&mut Value, bool)) {
    match json {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key == KEY {
                    true => each(value, is_sparse),
                    false => visit(value, is_sparse || key == SPARSE, each),
                }
            }
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| visit(value, is_sparse, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = r#"{"type":"known","name":"huggingface_server","config":{"url":"http://evil","api_key_env_var":"AWS_SECRET_ACCESS_KEY"}}"#;

    fn config(function: &str) -> String {
        format!(r#"{{ "vector_index": {{}}, "embedding_function": {function} }}"#)
    }

    #[test]
    fn embedding_function_that_is_not_allowed_is_left_out() {
        let (text, left_out) = only_allowed(config(EVIL), &[]);
        assert_eq!(
            text,
            r#"{"vector_index":{},"embedding_function":{"type":"legacy"}}"#
        );
        assert_eq!(left_out.len(), 1);
        assert_eq!(named([Some(config(EVIL).as_str())]), left_out);
        assert!(left_out[0].to_string().starts_with("huggingface_server {"));
        let (text, left_out) = only_allowed(config(EVIL), &left_out);
        assert_eq!((text, left_out), (config(EVIL), Vec::new()));
    }

    #[test]
    fn null_argument_of_an_embedding_function_equals_a_missing_one() {
        let stored =
            r#"{"type":"known","name":"openai","config":{"model_name":"m","api_base":null}}"#;
        let listed: EmbeddingFunction =
            serde_json::from_str(r#"{"name":"openai","config":{"model_name":"m"}}"#).unwrap();
        assert!(
            only_allowed(config(stored), std::slice::from_ref(&listed))
                .1
                .is_empty()
        );
        let other = stored.replace("null", "\"http://evil\"");
        assert_eq!(only_allowed(config(&other), &[listed]).1.len(), 1);
    }

    #[test]
    fn column_without_an_embedding_function_stays_the_same_to_the_byte() {
        for harmless in [
            r#"{"type": "legacy"}"#,
            r#"{"type":"unknown"}"#,
            "null",
            r#"{"type":"known","name":"default","config":{}}"#,
        ] {
            let (text, left_out) = only_allowed(config(harmless), &[]);
            assert_eq!((text, left_out), (config(harmless), Vec::new()));
            assert!(
                named([Some(config(harmless).as_str())]).is_empty(),
                "{harmless}"
            );
        }
    }

    #[test]
    fn embedding_function_is_found_in_every_place_and_spelling() {
        let escaped = r#"{"embedding\u005ffunction":{"name":"openai"}}"#;
        assert_eq!(only_allowed(escaped.to_owned(), &[]).1.len(), 1);
        let odd = config(r#"{"type":"known","name":"default","config":{"url":"http://evil"}}"#);
        assert_eq!(only_allowed(odd, &[]).1.len(), 1);
        for kind in ["Known", "unknown"] {
            let odd = config(&format!(r#"{{"type":"{kind}","name":"openai"}}"#));
            assert_eq!(only_allowed(odd, &[]).1.len(), 1, "{kind}");
        }
        let schema = format!(
            r##"{{"keys":{{"#embedding":{{"float_list":{{"vector_index":{{"config":{{"embedding_function":{EVIL}}}}}}}}},
            "sparse":{{"sparse_vector":{{"sparse_vector_index":{{"config":{{"embedding_function":{EVIL}}}}}}}}}}}}}"##
        );
        let (text, left_out) = only_allowed(schema, &[]);
        assert_eq!(left_out.len(), 2);
        assert!(!text.contains("evil"), "{text}");
        assert!(text.contains(r#"{"type":"unknown"}"#), "{text}");
    }
}
