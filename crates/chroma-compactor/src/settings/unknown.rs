//! Faults of unknown keys, with a suggestion.

use serde_json::Value;

use super::RawSettings;
use super::fault::Fault;

/// The least similarity, from 0 to 1, of a key that is suggested.
const ALIKE: f64 = 0.75;

/// The fault of the unknown key `key`. `set` are the keys that were set: `key` itself, or keys below it.
pub(super) fn fault(key: &str, set: &[String]) -> Fault {
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let fault = Fault::of(&set, format!("unknown key `{key}`"));
    match nearest(key) {
        Some(known) => fault.with_help(format!("did you mean `{known}`?")),
        None => fault.with_help("config/default.toml shows every key"),
    }
}

fn nearest(key: &str) -> Option<String> {
    let mut known = Vec::new();
    if let Ok(value) = serde_json::to_value(RawSettings::default()) {
        collect("", &value, &mut known);
    }
    // They have no defaults, so the serialized defaults lack them.
    let without_default = [
        "storage.access",
        "aws.region",
        "aws.endpoint",
        "worker.scratch",
    ];
    known.extend(without_default.map(str::to_owned));
    known
        .into_iter()
        .map(|name| (likeness(&name, key), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// How similar two keys are. The whole path may be misspelt, or the right key be in the wrong section.
fn likeness(known: &str, key: &str) -> f64 {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    strsim::jaro_winkler(known, key).max(strsim::jaro_winkler(&last(known), &last(key)) * 0.95)
}

fn collect(prefix: &str, value: &Value, known: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            if !prefix.is_empty() {
                known.push(prefix.to_owned());
            }
            for (key, value) in entries {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                collect(&path, value, known);
            }
        }
        _ => known.push(prefix.to_owned()),
    }
}
