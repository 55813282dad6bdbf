//! What is wrong with the settings, each fault with its place, and all of them in one error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::error::CommandError;

/// Where a value comes from that is not a default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A line of the configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command.
    Flag(&'static str),
    /// Other settings.
    Because(String),
}

impl Origin {
    /// As it stands in front of what is wrong there.
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

/// Keys that are not at their default, and who set them. A table has an entry for each of its keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance(BTreeMap<String, Origin>);

impl Provenance {
    pub(super) fn insert(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }

    /// The keys that are set.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Who set `key`, or the keys below it.
    pub(crate) fn of(&self, key: &str) -> Vec<&Origin> {
        let is_below = |name: &str| {
            let rest = name.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let below = self.0.iter().filter(|(name, _)| is_below(name));
        below.map(|(_, origin)| origin).collect()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// Where the value was set; empty for a default.
    origins: Vec<Origin>,
    /// The keys that it is about.
    keys: Vec<String>,
    message: String,
    help: Option<String>,
}

impl Fault {
    /// `message` says which key is meant.
    pub(super) fn of(keys: &[&str], message: impl Into<String>) -> Self {
        Self {
            origins: Vec::new(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn at(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// With the places of its keys.
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

    /// Whether both are about the same key: then one may be there only because of the other.
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
