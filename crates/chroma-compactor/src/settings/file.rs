//! Settings from the configuration file, and the line of each value.

use std::path::Path;

use config::{FileFormat, Format};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};
use super::layer::Layer;

/// Reads the file.
///
/// # Errors
/// The file cannot be read, or is not TOML. Then there is a fault for each line that cannot be parsed.
pub(super) fn layer(path: &Path) -> Result<Layer, Vec<Fault>> {
    let text = fs_err::read_to_string(path).map_err(|error| vec![unreadable(path, &error)])?;
    let lines = Lines { path, text: &text };
    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        return Err(lines.faults(&errors));
    }
    let values = FileFormat::Toml.parse(None, &text);
    let values = values.map_err(|error| vec![lines.fault(0, error.to_string())])?;
    let mut layer = Layer {
        values,
        origins: Vec::new(),
    };
    lines.collect("", table.get_ref(), &mut layer);
    Ok(layer)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    if error.kind() == std::io::ErrorKind::NotFound {
        let message = format!("{}: no such configuration file", path.display());
        return Fault::of(&[], message)
            .with_help("name an existing file, or leave --config out to use the defaults");
    }
    // The error's text has the path.
    Fault::of(&[], error.to_string()).with_help("name a TOML file that this account can read")
}

struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.bytes().take(at);
        Origin::File {
            path: self.path.to_path_buf(),
            line: before.filter(|byte| *byte == b'\n').count() + 1,
        }
    }

    fn fault(&self, at: usize, message: String) -> Fault {
        Fault::of(&[], message).at(self.origin(at))
    }

    /// The first error of each line: a further one may be its consequence.
    fn faults(&self, errors: &[toml::de::Error]) -> Vec<Fault> {
        let mut found: Vec<(Origin, Fault)> = Vec::new();
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let origin = self.origin(at);
            if found.iter().all(|(known, _)| *known != origin) {
                found.push((origin, self.fault(at, error.message().to_owned())));
            }
        }
        found.into_iter().map(|(_, fault)| fault).collect()
    }

    /// Records the line of every value, and of every empty table.
    fn collect(&self, prefix: &str, table: &DeTable<'_>, layer: &mut Layer) {
        for (key, value) in table {
            let path = match prefix {
                "" => key.get_ref().to_string(),
                _ => format!("{prefix}.{}", key.get_ref()),
            };
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => self.collect(&path, inner, layer),
                _ => layer.origins.push((path, self.origin(start(key)))),
            }
        }
    }
}

fn start<T>(spanned: &Spanned<T>) -> usize {
    spanned.span().start
}
