//! A collection without a pointer: whether it is new or has lost its pointer, and which version a new
//! pointer must name.

use crate::{Manifest, RunId, Version};

/// A version of which all objects exist. It may never have been published: of two versions that were
/// made from one base, one lost the race for the pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// The id of the version.
    pub version: Version,
    /// It has a parent, or a writer without manifests made it.
    follows_another: bool,
    /// How many of the runs whose records say COMPLETED its lineage contains.
    contains: usize,
}

impl Complete {
    /// Describes a version by its manifest, if it has one. `completed` are the collection's runs whose
    /// records say COMPLETED.
    pub fn new(version: Version, manifest: Option<&Manifest>, completed: &[RunId]) -> Self {
        let contains = |run: &&RunId| manifest.is_some_and(|manifest| manifest.contains_run(run));
        Self {
            version,
            follows_another: manifest.is_none_or(|manifest| manifest.parent.is_some()),
            contains: completed.iter().filter(contains).count(),
        }
    }
}

/// Whether a version was published, so that the collection has lost its pointer. `found` are its
/// complete versions. Versions without a parent do not prove it: a crash before the first swap leaves
/// one.
pub fn is_lost(found: &[Complete], completed: &[RunId]) -> bool {
    !completed.is_empty() || found.iter().any(|one| one.follows_another)
}

/// Chooses the version that a new pointer must name: the one that contains the most completed runs,
/// since the published version contains all of them, and of several the newest. `None` if nothing was
/// found.
pub fn to_put_back(found: &[Complete]) -> Option<&Version> {
    let best = found
        .iter()
        .max_by_key(|one| (one.contains, &one.version))?;
    Some(&best.version)
}
