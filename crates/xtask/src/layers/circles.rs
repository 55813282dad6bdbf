//! Finds modules that depend on each other in a circle.
//!
//! A module and everything below it count as one thing, since a parent and its children complete each other.
//! So a dependency counts between siblings only, at every level of the tree: one of `a::b` on `a::c::d` makes
//! `b` depend on `c`, and one of `a::b` on `a` counts nowhere.

use std::collections::BTreeMap;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::paths::Place;
use super::tree::Tree;

/// Siblings that depend on each other in a circle.
#[derive(Debug)]
pub(super) struct Circle {
    /// Their paths in the crate, sorted: `["a::b", "a::c"]`.
    pub(super) modules: Vec<String>,
    /// The dependencies among them, with one line of code that makes each.
    pub(super) dependencies: Vec<String>,
}

/// A module uses something that another one defines.
struct Dependency<'t> {
    from: &'t [String],
    to: Place,
    /// The line of code, for the report.
    example: String,
}

/// The dependencies between the children of one module, each with an example.
type Siblings<'d> = BTreeMap<(&'d str, &'d str), &'d str>;

/// Finds the circles that a crate's paths make, those in the arguments of macros aside.
pub(super) fn circles(tree: &Tree) -> Vec<Circle> {
    let dependencies = dependencies(tree);
    let mut levels: BTreeMap<&[String], Siblings<'_>> = BTreeMap::new();
    for dependency in &dependencies {
        if let Some((parent, pair)) = dependency.between_siblings() {
            let siblings = levels.entry(parent).or_default();
            siblings.entry(pair).or_insert(&dependency.example);
        }
    }
    let levels = levels.iter();
    levels
        .flat_map(|(parent, siblings)| circles_below(parent, siblings))
        .collect()
}

fn dependencies(tree: &Tree) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    for (from, module) in &tree.0 {
        for used in &module.uses {
            let (file, line) = (module.file.display(), used.line);
            found.push(Dependency {
                from,
                to: tree.definition(&used.path),
                example: format!("{file}:{line} uses {}", used.path.join("::")),
            });
        }
    }
    found
}

impl Dependency<'_> {
    /// The closest parent of both modules, and the two children of it that they are, or are below. `None` if
    /// one of the modules is above the other.
    fn between_siblings(&self) -> Option<(&[String], (&str, &str))> {
        let shared = self.from.iter().zip(&self.to);
        let depth = shared.take_while(|(one, other)| one == other).count();
        let pair = (self.from.get(depth)?.as_str(), self.to.get(depth)?.as_str());
        Some((&self.from[..depth], pair))
    }
}

fn circles_below(parent: &[String], siblings: &Siblings<'_>) -> Vec<Circle> {
    let graph: DiGraphMap<&str, ()> = siblings.keys().copied().collect();
    let components = tarjan_scc(&graph).into_iter();
    let circles = components.filter(|members| members.len() > 1);
    circles
        .map(|members| {
            let path = |name: &&str| [parent, &[(*name).to_owned()]].concat().join("::");
            let mut modules: Vec<String> = members.iter().map(path).collect();
            modules.sort();
            let inside = siblings
                .iter()
                .filter(|((from, to), _)| members.contains(from) && members.contains(to));
            Circle {
                modules,
                dependencies: inside
                    .map(|((from, to), example)| format!("{from} -> {to}: {example}"))
                    .collect(),
            }
        })
        .collect()
}
