//! Names that sections of the settings had before. They still work; only the new ones are documented.

use super::layer::{Layer, merge};

/// A section's former name, and the one that it has now.
const FORMER: [(&str, &str); 1] = [("fold", "flush")];

/// Gives what one source sets the names that settings have now. Where it sets a key under both names,
/// the new one counts.
pub(super) fn renamed(mut layer: Layer) -> Layer {
    for (former, name) in FORMER {
        if let Some(section) = layer.values.remove(former) {
            let own = layer.values.remove(name);
            layer.values.insert(name.to_owned(), section);
            if let Some(own) = own {
                merge(
                    &mut layer.values,
                    [(name.to_owned(), own)].into_iter().collect(),
                );
            }
        }
        for (key, _) in &mut layer.origins {
            let rest = key.strip_prefix(former);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                *key = format!("{name}{rest}");
            }
        }
    }
    layer
}
