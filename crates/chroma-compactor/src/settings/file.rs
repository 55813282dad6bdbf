//! The configuration file: its values, and the line of each.

use std::path::Path;

use config::{FileFormat, Format};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Origin};
use super::layer::Layer;

/// Reads the file.
///
/// # Errors
/// It cannot be read, or is no TOML: then everything that the parser dislikes.
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
        let message = format!("{}: there is no such configuration file", path.display());
        return Fault::of(&[], message)
            .with_help("name an existing file, or leave --config out to use the defaults");
    }
    // It names the path.
    Fault::of(&[], error.to_string()).with_help("name a TOML file that you may read")
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

    /// The first of each line: what comes after it may be there only because of it.
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

    /// The line of every value, and of every table that is empty.
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
