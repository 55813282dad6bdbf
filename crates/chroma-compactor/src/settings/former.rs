//! Former names of sections. They still work; the documentation has only the current ones.

use super::layer::{Layer, merge};

/// Former names of sections, each with the current one.
const FORMER: [(&str, &str); 1] = [("fold", "flush")];

/// Renames the sections of one source. If it sets a key under both names, the current one counts.
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
