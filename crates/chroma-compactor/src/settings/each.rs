//! Reads every key by itself, so that one wrong key does not hide the next.

use std::collections::BTreeMap;

use config::{ConfigError, Map, Value, ValueKind};
use serde::Deserialize;

use super::fault::Fault;
use super::{RawSettings, unknown};

/// Reads all keys. A key that cannot be read keeps its default, and has a fault.
pub(super) fn read(values: Map<String, Value>) -> (RawSettings, Vec<Fault>) {
    let (mut sound, mut faults) = (Map::new(), Vec::new());
    // The keys that were set at or below each unknown key.
    let mut ignored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, one) in single(values) {
        match attempt(one.clone()) {
            Ok(unknown) if unknown.is_empty() => super::layer::merge(&mut sound, one),
            Ok(unknown) => {
                for name in unknown {
                    ignored.entry(name).or_default().push(key.clone());
                }
            }
            // A key without a section can only be the name of a section.
            Err(_) if !key.contains('.') => {
                let message = format!("{key} is a section: write [{key}], and its keys below");
                faults.push(Fault::of(&[&key], message));
            }
            Err(error) => {
                let message = format!("{key}: {}", plain(error));
                faults.push(Fault::of(&[&key], message));
            }
        }
    }
    let ignored = ignored.iter();
    faults.extend(ignored.map(|(name, keys)| unknown::fault(name, keys)));
    let settings = RawSettings::deserialize(table(sound));
    let settings = settings.unwrap_or_else(|error| {
        faults.push(Fault::of(&[], plain(error)));
        RawSettings::default()
    });
    (settings, faults)
}

/// Splits the values into one table for each key.
fn single(values: Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    let mut found = Vec::new();
    for (section, value) in values {
        match value.kind {
            ValueKind::Table(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    let name = format!("{section}.{key}");
                    let inner = table(Map::from_iter([(key, value)]));
                    found.push((name, Map::from_iter([(section.clone(), inner)])));
                }
            }
            _ => found.push((section.clone(), Map::from_iter([(section, value)]))),
        }
    }
    found
}

/// Tries to read `values`, and returns the unknown keys among them.
fn attempt(values: Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut unknown = Vec::new();
    let read: Result<RawSettings, ConfigError> =
        serde_ignored::deserialize(table(values), |key| unknown.push(key.to_string()));
    read.map(|_| unknown)
}

fn table(values: Map<String, Value>) -> Value {
    Value::new(None, ValueKind::Table(values))
}

/// The error's text without the key and the place, which the fault adds.
fn plain(error: ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => plain(*error),
        ConfigError::Type {
            unexpected,
            expected,
            ..
        } => format!("invalid type: {unexpected}, expected {expected}"),
        other => other.to_string(),
    }
}
