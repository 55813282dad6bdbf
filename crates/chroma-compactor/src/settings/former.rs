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
        let of_former = |key: &str| {
            let rest = key.strip_prefix(former)?;
            (rest.is_empty() || rest.starts_with('.')).then(|| format!("{name}{rest}"))
        };
        let origins = std::mem::take(&mut layer.origins);
        let (former, current): (Vec<_>, Vec<_>) = origins
            .into_iter()
            .partition(|(key, _)| of_former(key).is_some());
        let renamed = former
            .into_iter()
            .filter_map(|(key, origin)| Some((of_former(&key)?, origin)));
        // Of two places of one key the last one counts, as of its values the current section's does.
        layer.origins = renamed.chain(current).collect();
    }
    layer
}
