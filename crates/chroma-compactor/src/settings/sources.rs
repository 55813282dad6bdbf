//! Where settings come from: defaults, the file, the environment of the Python compactor, our own
//! environment. A later one ranks above those before it.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Map, Value, ValueKind};
use tracing_subscriber::EnvFilter;

use super::fault::{Fault, Origin, Provenance};
use super::raw::{Backend, LogFormat};
use super::{RawSettings, each, environment, file, former};
use crate::output;

/// What one source sets.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) values: Map<String, Value>,
    /// Who set each key.
    pub(super) origins: Vec<(String, Origin)>,
}

const FORMAT_VARIABLE: &str = "CHROMA_COMPACTOR_LOG__FORMAT";

/// What was read.
pub(super) struct Read {
    pub(super) settings: RawSettings,
    pub(super) provenance: Provenance,
    /// What could not be read, with its places; it is at its default.
    pub(super) faults: Vec<Fault>,
}

/// A variable of the Python compactor, the key that it sets, and the unit that it left out.
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

/// Writing to Chroma Cloud as well, which the Python compactor could do.
const CLOUD: &str = "CHROMA_CLOUD_ENABLED";

/// What the Python compactor was told and this one cannot do must not go unnoticed.
fn cloud(variables: &BTreeMap<String, String>) -> Option<Fault> {
    let value = variables.get(CLOUD).map(|value| value.to_lowercase());
    if !matches!(value.as_deref(), Some("true" | "1" | "yes" | "on")) {
        return None;
    }
    let message = format!("{CLOUD} is set, and this program does not write to Chroma Cloud");
    let help = "unset it, and feed Chroma Cloud from the published snapshots";
    Some(Fault::of(&[], message).with_help(help))
}

/// It ranks above `log.filter`.
const RUST_LOG: &str = "RUST_LOG";

fn rust_log(variables: &BTreeMap<String, String>) -> Option<Fault> {
    let filter = variables.get(RUST_LOG)?;
    let error = EnvFilter::try_new(filter).err()?;
    let origin = Origin::Variable(RUST_LOG.to_owned());
    Some(Fault::of(&[], format!("log.filter `{filter}`: {error}")).at(origin))
}

/// Reads everything. `variables` are the environment.
///
/// # Errors
/// The file cannot be read, or is no TOML.
pub(super) fn read(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Read, Vec<Fault>> {
    let variables: BTreeMap<String, String> = variables.collect();
    // What is wrong with the settings is said in this form already.
    if variables
        .get(FORMAT_VARIABLE)
        .is_some_and(|format| format == "json")
    {
        output::say_json_lines();
    }
    let mut faults: Vec<Fault> = cloud(&variables).into_iter().collect();
    faults.extend(rust_log(&variables));
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push(file::layer(path)?);
    }
    layers.push(of_python(&variables, &mut faults));
    layers.push(environment::layer(&variables));
    let (mut values, mut provenance) = (Map::new(), Provenance::default());
    for layer in layers.into_iter().map(former::renamed) {
        merge(&mut values, layer.values);
        for (key, origin) in layer.origins {
            provenance.insert(key, origin);
        }
    }
    let (settings, wrong) = each::read(values);
    if settings.log.format == LogFormat::Json {
        output::say_json_lines();
    }
    for variable in environment::sectionless(&variables) {
        output::warning(&format!(
            "{variable} is no setting of this program and is ignored: sections are set off by two underscores"
        ));
    }
    faults.extend(wrong.into_iter().map(|fault| fault.placed(&provenance)));
    let (settings, provenance) = with_backend(settings, provenance, faults.is_empty());
    Ok(Read {
        settings,
        provenance,
        faults,
    })
}

/// What variables of the Python compactor set.
fn of_python(variables: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Layer {
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
                let Alias { variable, unit, .. } = alias;
                let message = format!("{variable} `{value}` is no whole number");
                let help = format!(
                    "write it without a unit, as for the Python compactor: {unit} is meant"
                );
                let origin = Origin::Variable((*variable).to_owned());
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

/// Adds `values` to those that are there; the new ones win.
pub(super) fn merge(there: &mut Map<String, Value>, values: Map<String, Value>) {
    for (key, mut value) in values {
        if let (Some(known), ValueKind::Table(new)) = (there.get_mut(&key), &mut value.kind)
            && let ValueKind::Table(known) = &mut known.kind
        {
            merge(known, std::mem::take(new));
        } else {
            there.insert(key, value);
        }
    }
}

/// A user who names a bucket, a table or a queue means AWS. Nothing is said of settings that are not
/// `sound`: the backend may be the one that cannot be read.
fn with_backend(
    mut settings: RawSettings,
    mut provenance: Provenance,
    sound: bool,
) -> (RawSettings, Provenance) {
    const BACKEND: &str = "storage.backend";
    let of_aws: Vec<&str> = provenance
        .keys()
        .filter(|key| key.starts_with("aws."))
        .collect();
    if of_aws.is_empty() {
        return (settings, provenance);
    }
    if provenance.of(BACKEND).is_empty() {
        let because = format!("{} is set", of_aws.join(", "));
        settings.storage.backend = Backend::Aws;
        provenance.insert(BACKEND, Origin::Because(because));
    } else if sound && settings.storage.backend == Backend::Local {
        output::warning(&format!(
            "storage.backend is \"local\", so these are ignored: {}",
            of_aws.join(", ")
        ));
    }
    (settings, provenance)
}

/// A log level of Python's as one of ours.
fn python_level(level: &str) -> Result<&'static str, Fault> {
    match level.to_lowercase().as_str() {
        "critical" | "fatal" | "error" => Ok("error"),
        "warning" | "warn" => Ok("warn"),
        "info" => Ok("info"),
        "debug" => Ok("debug"),
        "notset" | "trace" => Ok("trace"),
        _ => {
            let message = format!("LOG_LEVEL `{level}` is no level");
            let help = "DEBUG, INFO, WARNING, ERROR or CRITICAL; finer filters go into log.filter";
            Err(Fault::of(&["log.filter"], message).with_help(help))
        }
    }
}

/// Every key with its value, as `section.key`.
pub(crate) fn leaves(settings: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let mut found = Vec::new();
    let serde_json::Value::Object(sections) = settings else {
        return found;
    };
    for (section, entries) in sections {
        match entries {
            serde_json::Value::Object(entries) => {
                let keys = entries.iter();
                found.extend(keys.map(|(key, value)| (format!("{section}.{key}"), value.clone())));
            }
            other => found.push((section.clone(), other.clone())),
        }
    }
    found
}
