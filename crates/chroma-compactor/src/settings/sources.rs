//! Where settings come from: defaults, the file, the environment of the Python compactor, our own
//! environment. A later one ranks above those before it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::raw::Backend;
use super::{RawSettings, unknown};
use crate::failure::Failure;
use crate::output;

const ENVIRONMENT_PREFIX: &str = "CHROMA_COMPACTOR";

/// The form of what is said on standard error.
const FORMAT: &str = "log.format";

/// Keys that are not at their default, and who set them.
pub(crate) type Provenance = BTreeMap<String, String>;

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
fn refuse_cloud(variables: &HashMap<String, String>) -> Result<(), Failure> {
    let value = variables.get(CLOUD).map(|value| value.to_lowercase());
    if !matches!(value.as_deref(), Some("true" | "1" | "yes" | "on")) {
        return Ok(());
    }
    let message = format!("{CLOUD} is set, and this program does not write to Chroma Cloud");
    let help = "unset it, and feed Chroma Cloud from the published snapshots";
    Err(Failure::configuration(message).with_help(help))
}

/// Reads everything. `variables` are the environment.
pub(super) fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(RawSettings, Provenance), Failure> {
    let mut variables: HashMap<String, String> = variables.collect();
    if variables
        .get(&own_variable(FORMAT))
        .is_some_and(|format| format == "json")
    {
        output::say_json_lines();
    }
    refuse_cloud(&variables)?;
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push((read_file(path)?, format!("file {}", path.display())));
    }
    for alias in &ALIASES {
        let value = variables
            .get(alias.variable)
            .filter(|value| !value.is_empty());
        if let Some(value) = value {
            let variable = own_variable(alias.key);
            let value = match alias.key {
                "log.filter" => python_level(value)?,
                "metrics.emf" => value.to_lowercase(),
                _ => format!("{value}{}", alias.unit),
            };
            let layer = from_environment(HashMap::from([(variable, value)]))?;
            layers.push((layer, format!("environment {}", alias.variable)));
        }
    }
    for variable in sectionless(&variables) {
        output::warning(&format!(
            "{variable} is no setting of this program and is ignored: sections are set off by two underscores"
        ));
    }
    variables.retain(|name, _| !is_sectionless(name));
    layers.push((from_environment(variables)?, "environment".to_owned()));
    let mut builder = config::Config::builder();
    let mut provenance = Provenance::new();
    for (layer, source) in layers {
        let values: Value = layer.clone().try_deserialize().map_err(wrong)?;
        for (key, _) in leaves(&values) {
            let source = match source.as_str() {
                "environment" => format!("environment {}", own_variable(&key)),
                other => other.to_owned(),
            };
            provenance.insert(key, source);
        }
        builder = builder.add_source(layer);
    }
    let merged = builder.build().map_err(wrong)?;
    // What is wrong with the other settings is said in this form already.
    if merged
        .get_string(FORMAT)
        .is_ok_and(|format| format == "json")
    {
        output::say_json_lines();
    }
    let mut ignored = Vec::new();
    let settings: RawSettings =
        serde_ignored::deserialize(merged, |key| ignored.push(key.to_string())).map_err(wrong)?;
    // Names the file by its own variable, not a key of the file.
    ignored.retain(|key| key != "config");
    if let Some(key) = ignored.first() {
        return Err(unknown::failure(key, file));
    }
    Ok(with_backend(settings, provenance))
}

/// Kubernetes sets variables for each service of a namespace (`CHROMA_COMPACTOR_PORT`), which look like
/// ours but for the section.
fn is_sectionless(name: &str) -> bool {
    let rest = name
        .to_uppercase()
        .strip_prefix(ENVIRONMENT_PREFIX)
        .and_then(|rest| rest.strip_prefix('_').map(str::to_owned));
    rest.is_some_and(|rest| !rest.contains("__") && rest != "CONFIG")
}

/// Variables that are left out, by name.
fn sectionless(variables: &HashMap<String, String>) -> Vec<&String> {
    let mut names: Vec<&String> = variables
        .keys()
        .filter(|name| is_sectionless(name))
        .collect();
    names.sort_unstable();
    names
}

/// A user who names a bucket, a table or a queue means AWS.
fn with_backend(
    mut settings: RawSettings,
    mut provenance: Provenance,
) -> (RawSettings, Provenance) {
    const BACKEND: &str = "storage.backend";
    let of_aws: Vec<&str> = provenance
        .keys()
        .filter(|key| key.starts_with("aws."))
        .map(String::as_str)
        .collect();
    if of_aws.is_empty() {
        return (settings, provenance);
    }
    if !provenance.contains_key(BACKEND) {
        let because = format!("{} is set", of_aws.join(", "));
        settings.storage.backend = Backend::Aws;
        provenance.insert(BACKEND.to_owned(), because);
    } else if settings.storage.backend == Backend::Local {
        output::warning(&format!(
            "storage.backend is \"local\", so these are ignored: {}",
            of_aws.join(", ")
        ));
    }
    (settings, provenance)
}

/// A log level of Python's as one of ours.
fn python_level(level: &str) -> Result<String, Failure> {
    let ours = match level.to_lowercase().as_str() {
        "critical" | "fatal" | "error" => "error",
        "warning" | "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "notset" | "trace" => "trace",
        _ => {
            let message = format!("LOG_LEVEL `{level}` is no level");
            let help = "DEBUG, INFO, WARNING, ERROR or CRITICAL; finer filters go into log.filter";
            return Err(Failure::configuration(message).with_help(help));
        }
    };
    Ok(ours.to_owned())
}

fn read_file(path: &Path) -> Result<config::Config, Failure> {
    if !path.is_file() {
        let message = format!("{}: there is no such configuration file", path.display());
        return Err(Failure::configuration(message)
            .with_help("name an existing file, or leave --config out to use the defaults"));
    }
    let file = config::File::from(path.to_path_buf()).format(config::FileFormat::Toml);
    let builder = config::Config::builder().add_source(file);
    builder.build().map_err(wrong)
}

fn from_environment(variables: HashMap<String, String>) -> Result<config::Config, Failure> {
    let environment = config::Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .ignore_empty(true)
        .source(Some(variables));
    let builder = config::Config::builder().add_source(environment);
    builder.build().map_err(wrong)
}

/// The variable that sets `key`.
fn own_variable(key: &str) -> String {
    let path = key.replace('.', "__").to_uppercase();
    format!("{ENVIRONMENT_PREFIX}_{path}")
}

fn wrong(error: config::ConfigError) -> Failure {
    Failure::configuration(error.to_string())
}

/// Every key with its value, as `section.key`.
pub(crate) fn leaves(settings: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let Value::Object(sections) = settings else {
        return found;
    };
    for (section, entries) in sections {
        match entries {
            Value::Object(entries) => {
                let keys = entries.iter();
                found.extend(keys.map(|(key, value)| (format!("{section}.{key}"), value.clone())));
            }
            other => found.push((section.clone(), other.clone())),
        }
    }
    found
}
