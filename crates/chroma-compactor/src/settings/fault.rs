//! Faults of the settings, each with its place, and the one error that names them all.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::error::CommandError;

/// Where a value that is not a default comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A line of the configuration file set it.
    File {
        /// The path of the file, as the user gave it.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: usize,
    },
    /// The environment variable with this name set it.
    Variable(String),
    /// This option of the command line set it.
    Flag(&'static str),
    /// It follows from other settings, as this text says.
    Because(String),
}

impl Origin {
    /// The place, as it precedes the message of a fault.
    fn place(&self) -> String {
        match self {
            Self::File { path, line } => format!("{}:{line}", path.display()),
            Self::Variable(name) | Self::Because(name) => name.clone(),
            Self::Flag(name) => (*name).to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::File { .. } => "file ",
            Self::Variable(_) => "environment ",
            Self::Flag(_) => "flag ",
            Self::Because(_) => "",
        };
        write!(f, "{kind}{}", self.place())
    }
}

/// The keys that are not at their default, and what set each. A table has an entry for each of its keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance(BTreeMap<String, Origin>);

impl Provenance {
    /// Records what set `key`. A later call for the same key replaces an earlier one.
    pub(super) fn insert(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }

    /// The keys that something set.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What set `key`, or the keys below it.
    pub(crate) fn of(&self, key: &str) -> Vec<&Origin> {
        let is_below = |name: &str| {
            let rest = name.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let below = self.0.iter().filter(|(name, _)| is_below(name));
        below.map(|(_, origin)| origin).collect()
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// Where the values come from; empty for defaults.
    origins: Vec<Origin>,
    /// The keys that the fault is about.
    keys: Vec<String>,
    message: String,
    help: Option<String>,
}

impl Fault {
    /// A fault of `keys`. The message has to name them itself.
    pub(super) fn of(keys: &[&str], message: impl Into<String>) -> Self {
        Self {
            origins: Vec::new(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            message: message.into(),
            help: None,
        }
    }

    /// Adds what the user can do about it.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a place that cannot be looked up by the keys.
    pub(super) fn at(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Adds the places where its keys were set.
    pub(super) fn placed(mut self, provenance: &Provenance) -> Self {
        let mut places: Vec<Origin> = self
            .keys
            .iter()
            .flat_map(|key| provenance.of(key))
            .cloned()
            .collect();
        places.sort_unstable();
        places.dedup();
        self.origins.extend(places);
        self
    }

    /// Whether both are about the same key: then one may only be a consequence of the other.
    pub(super) fn concerns(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.origins.iter().map(Origin::place).collect();
        if !places.is_empty() {
            write!(f, "{}: ", places.join(", "))?;
        }
        f.write_str(&self.message)
    }
}

/// One error for all `faults`, in the order of their places.
pub(super) fn into_error(mut faults: Vec<Fault>) -> CommandError {
    faults.sort_unstable();
    faults.dedup();
    if let [fault] = &faults[..] {
        let error = CommandError::configuration(fault.to_string());
        return match &fault.help {
            Some(help) => error.with_help(help.clone()),
            None => error,
        };
    }
    let mut message = format!("{} settings are wrong", faults.len());
    for fault in &faults {
        message.push_str(&format!("\n{fault}"));
        if let Some(help) = &fault.help {
            message.push_str(&format!(" ({help})"));
        }
    }
    CommandError::configuration(message)
}
