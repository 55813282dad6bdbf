//! Reads the settings from all sources, in this order: defaults, the file, variables of the Python compactor,
//! variables of this program. A later source overrides an earlier one.

use std::collections::BTreeMap;
use std::path::Path;

use config::Map;
use tracing_subscriber::EnvFilter;

use super::fault::{Fault, Origin, Provenance};
use super::layer::merge;
use super::raw::{Backend, LogFormat};
use super::{RawSettings, each, environment, file, former, python};
use crate::output;

const FORMAT_VARIABLE: &str = "CHROMA_COMPACTOR_LOG__FORMAT";

/// The settings of all sources.
pub(super) struct Read {
    pub(super) settings: RawSettings,
    pub(super) provenance: Provenance,
    /// A fault for each setting that could not be read. Such a setting keeps its default.
    pub(super) faults: Vec<Fault>,
}

/// Overrides `log.filter`.
const RUST_LOG: &str = "RUST_LOG";

fn rust_log(variables: &BTreeMap<String, String>) -> Option<Fault> {
    let filter = variables.get(RUST_LOG)?;
    let error = EnvFilter::try_new(filter).err()?;
    let origin = Origin::Variable(RUST_LOG.to_owned());
    Some(Fault::of(&[], format!("log.filter `{filter}`: {error}")).at(origin))
}

/// Reads the settings from `file` and from `variables`, the environment.
///
/// # Errors
/// The file cannot be read, or is not TOML.
pub(super) fn read(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Read, Vec<Fault>> {
    let variables: BTreeMap<String, String> = variables.collect();
    // Errors of the settings themselves have to be JSON already.
    if variables
        .get(FORMAT_VARIABLE)
        .is_some_and(|format| format == "json")
    {
        output::say_json_lines();
    }
    let mut faults: Vec<Fault> = python::chroma_cloud(&variables).into_iter().collect();
    faults.extend(rust_log(&variables));
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push(file::layer(path)?);
    }
    layers.push(python::layer(&variables, &mut faults));
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
            "{variable} names no setting and is ignored: write two underscores between section and key"
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

/// Chooses AWS for a user who sets a key of it and no backend. Warns of keys of AWS that a local backend
/// ignores, but only if the settings are `sound`: otherwise the backend may be the key that cannot be read.
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
            "storage.backend is \"local\", so these settings are ignored: {}",
            of_aws.join(", ")
        ));
    }
    (settings, provenance)
}

/// Every key, as `section.key`, with its value.
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
