//! Settings from environment variables: `CHROMA_COMPACTOR_QUEUE__VISIBILITY` sets `queue.visibility`. All
//! values stay text here; deserialization turns them into numbers.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::RawSettings;
use super::fault::Origin;
use super::layer::Layer;

const PREFIX: &str = "CHROMA_COMPACTOR_";
/// The path of the table whose keys are collections, which have case-sensitive names.
const QUEUES: [&str; 2] = ["aws", "queues"];

/// The settings of `variables`. An empty variable sets nothing.
pub(super) fn layer(variables: &BTreeMap<String, String>) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in variables {
        if let Some(path) = path(name)
            && !text.is_empty()
        {
            add(&mut layer, &path, text, name);
        }
    }
    layer
}

/// Adds the value `text` of the variable `name`, which sets the key `path`.
pub(super) fn add(layer: &mut Layer, path: &[String], text: &str, name: &str) {
    let value = shaped(path, text);
    insert(&mut layer.values, path, value);
    layer
        .origins
        .push((path.join("."), Origin::Variable(name.to_owned())));
}

/// Variables with this program's prefix that name no section. Kubernetes sets such variables for a service
/// called chroma-compactor (`CHROMA_COMPACTOR_PORT`).
pub(super) fn sectionless(variables: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    variables.keys().filter(|name| {
        let rest = after_prefix(name);
        rest.is_some_and(|rest| !rest.contains("__") && !rest.eq_ignore_ascii_case("CONFIG"))
    })
}

/// Whether a variable with this name sets a key.
pub(super) fn sets_a_key(name: &str) -> bool {
    path(name).is_some()
}

fn after_prefix(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

fn path(name: &str) -> Option<Vec<String>> {
    let rest = after_prefix(name).filter(|rest| rest.contains("__"))?;
    let mut path: Vec<String> = Vec::new();
    for segment in rest.split("__") {
        // Variables are usually in capitals, so a name in capitals alone may be meant in lower case.
        let is_as_written = path == QUEUES && segment != segment.to_uppercase();
        path.push(match is_as_written {
            true => segment.to_owned(),
            false => segment.to_lowercase(),
        });
    }
    Some(path)
}

/// A list is written with commas, a table as `name=value` with commas.
fn shaped(path: &[String], text: &str) -> Value {
    let parts = || {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    let text_of = |part: &str| Value::new(None, part.to_owned());
    match (default_of(path), path.len()) {
        (Some(serde_json::Value::Array(_)), _) => {
            let list: Vec<Value> = parts().map(text_of).collect();
            match list.is_empty() {
                // An empty list may mean "all", so a value of only commas is refused later.
                true => text_of(text),
                false => Value::new(None, ValueKind::Array(list)),
            }
        }
        (Some(serde_json::Value::Object(_)), 2..) => {
            let pairs = parts().map(|part| part.split_once('='));
            let pairs = pairs
                .map(|pair| pair.map(|(key, one)| (key.trim().to_owned(), text_of(one.trim()))));
            match pairs.collect::<Option<Map<String, Value>>>() {
                Some(table) => Value::new(None, ValueKind::Table(table)),
                None => text_of(text),
            }
        }
        _ => text_of(text),
    }
}

fn default_of(path: &[String]) -> Option<serde_json::Value> {
    let defaults = serde_json::to_value(RawSettings::default()).ok()?;
    path.iter()
        .try_fold(defaults, |value, key| value.get(key).cloned())
}

fn insert(values: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => super::layer::merge(values, Map::from_iter([(key.clone(), value)])),
        [key, rest @ ..] => {
            let mut inner = Map::new();
            insert(&mut inner, rest, value);
            let inner = Value::new(None, ValueKind::Table(inner));
            super::layer::merge(values, Map::from_iter([(key.clone(), inner)]));
        }
    }
}
