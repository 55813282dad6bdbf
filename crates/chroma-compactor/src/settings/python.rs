//! Settings from the environment variables of the Python compactor, so that its deployments can switch to
//! this program without new ones.

use std::collections::BTreeMap;

use super::environment;
use super::fault::{Fault, Origin};
use super::layer::Layer;

/// A variable of the Python compactor, the key that it sets, and the unit that its values lack.
struct Alias {
    variable: &'static str,
    key: &'static str,
    unit: &'static str,
}

const ALIASES: [Alias; 10] = [
    alias("CHROMADB_BUCKET", "aws.bucket", ""),
    alias("DYNAMODB_TABLE_NAME", "aws.table", ""),
    alias("LINES_QUEUE_URL", "aws.queues.lines", ""),
    alias("WORDS_QUEUE_URL", "aws.queues.words", ""),
    alias("HEARTBEAT_INTERVAL_SECONDS", "lease.renew_every", "s"),
    alias("LOCK_DURATION_MINUTES", "lease.term", "m"),
    alias("MAX_MESSAGES_PER_COMPACTION", "worker.batch_runs", ""),
    alias(
        "ADDITIONAL_FETCH_VISIBILITY_TIMEOUT",
        "queue.visibility",
        "s",
    ),
    alias("LOG_LEVEL", "log.filter", ""),
    alias("ENABLE_METRICS", "metrics.emf", ""),
];

const fn alias(variable: &'static str, key: &'static str, unit: &'static str) -> Alias {
    Alias {
        variable,
        key,
        unit,
    }
}

/// Made the Python compactor write to Chroma Cloud as well.
const CLOUD: &str = "CHROMA_CLOUD_ENABLED";

/// Refuses to start where the Python compactor would write to Chroma Cloud, which this program cannot do:
/// otherwise the data there would silently grow old.
pub(super) fn chroma_cloud(variables: &BTreeMap<String, String>) -> Option<Fault> {
    let value = variables.get(CLOUD).map(|value| value.to_lowercase());
    if !matches!(value.as_deref(), Some("true" | "1" | "yes" | "on")) {
        return None;
    }
    let message = format!("{CLOUD} is set, and this program does not write to Chroma Cloud");
    let help = "unset it, and feed Chroma Cloud from the published snapshots";
    Some(Fault::of(&[], message).with_help(help))
}

/// The settings of the Python compactor's variables. Adds a fault for a value that cannot be used.
pub(super) fn layer(variables: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::default();
    for alias in &ALIASES {
        let value = variables
            .get(alias.variable)
            .filter(|value| !value.is_empty());
        let Some(value) = value else {
            continue;
        };
        let value = match alias.key {
            "log.filter" => match python_level(value) {
                Ok(level) => level.to_owned(),
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            },
            _ if !alias.unit.is_empty() && value.parse::<u32>().is_err() => {
                let variable = alias.variable;
                let unit = match alias.unit {
                    "m" => "minutes",
                    _ => "seconds",
                };
                let message = format!("{variable} `{value}` is not a whole number");
                let help = format!("write the number of {unit}, without a unit");
                let origin = Origin::Variable(variable.to_owned());
                faults.push(Fault::of(&[], message).with_help(&help).at(origin));
                continue;
            }
            _ => format!("{value}{}", alias.unit),
        };
        let path: Vec<String> = alias.key.split('.').map(str::to_owned).collect();
        environment::add(&mut layer, &path, &value, alias.variable);
    }
    layer
}

/// Translates a log level of Python's `logging`.
fn python_level(level: &str) -> Result<&'static str, Fault> {
    match level.to_lowercase().as_str() {
        "critical" | "fatal" | "error" => Ok("error"),
        "warning" | "warn" => Ok("warn"),
        "info" => Ok("info"),
        "debug" => Ok("debug"),
        "notset" | "trace" => Ok("trace"),
        _ => {
            let message = format!("LOG_LEVEL `{level}` is not a log level");
            let help =
                "use DEBUG, INFO, WARNING, ERROR or CRITICAL; set log.filter for a finer filter";
            Err(Fault::of(&["log.filter"], message).with_help(help))
        }
    }
}
