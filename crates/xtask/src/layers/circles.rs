//! Which modules know each other, and where that goes round in a circle.
//!
//! A module and what is below it are one thing: a parent hands its children their types, and they
//! complete it. So arrows are drawn between siblings only, at every level of the tree: one that leads
//! from `a::b` to `a::c::d` is an arrow from `b` to `c`.

use std::collections::BTreeMap;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::paths::Place;
use super::tree::Tree;

/// Siblings that know each other in a circle.
pub(super) struct Circle {
    pub(super) modules: Vec<String>,
    /// One use for each arrow of the circle.
    pub(super) examples: Vec<String>,
}

/// Siblings below one module, by name, and an example of each arrow.
type Arrows<'t> = BTreeMap<(&'t str, &'t str), String>;

/// All circles of a crate.
pub(super) fn circles(tree: &Tree) -> Vec<Circle> {
    let definitions: Vec<(&Place, Place, String)> = tree
        .0
        .iter()
        .flat_map(|(place, module)| {
            module.uses.iter().map(move |used| {
                let to = tree.definition(&used.path);
                let at = format!("{}:{}", module.file.display(), used.line);
                (place, to, format!("{at} knows {}", used.path.join("::")))
            })
        })
        .collect();
    let mut levels: BTreeMap<&[String], Arrows<'_>> = BTreeMap::new();
    for (from, to, example) in &definitions {
        let shared = from.iter().zip(to).take_while(|(one, other)| one == other);
        let shared = shared.count();
        if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
            let arrows = levels.entry(&from[..shared]).or_default();
            arrows
                .entry((one, other))
                .or_insert_with(|| example.clone());
        }
    }
    let found = levels.iter().flat_map(|(above, arrows)| {
        let graph: DiGraphMap<&str, ()> = arrows.keys().copied().collect();
        let circles = tarjan_scc(&graph).into_iter().filter(|one| one.len() > 1);
        circles
            .map(|circle| {
                let is_inside =
                    |arrow: &(&str, &str)| circle.contains(&arrow.0) && circle.contains(&arrow.1);
                let inside = arrows.iter().filter(|(arrow, _)| is_inside(arrow));
                let mut modules: Vec<String> = circle
                    .iter()
                    .map(|name| [above, &[(*name).to_owned()][..]].concat().join("::"))
                    .collect();
                modules.sort();
                Circle {
                    modules,
                    examples: inside
                        .map(|((one, other), example)| format!("{one} -> {other}: {example}"))
                        .collect(),
                }
            })
            .collect::<Vec<_>>()
    });
    found.collect()
}
