//! A collection that has no pointer: whether it is new or its pointer was taken away, and which version
//! the pointer has to name again.

use crate::{Manifest, RunId, Version};

/// A version that has all that a version has. It may never have been published: of two that were made
/// from the same base, one lost the race for the pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Which.
    pub version: Version,
    /// It was made from another one, or by a writer that says nothing of it.
    follows_another: bool,
    /// How many of the runs that are recorded as completed it contains.
    contains: usize,
}

impl Complete {
    /// A version with its manifest, if it has one; `completed` are the runs of the collection that
    /// records call COMPLETED.
    pub fn new(version: Version, manifest: Option<&Manifest>, completed: &[RunId]) -> Self {
        let contains = |run: &&RunId| manifest.is_some_and(|manifest| manifest.contains_run(run));
        Self {
            version,
            follows_another: manifest.is_none_or(|manifest| manifest.parent.is_some()),
            contains: completed.iter().filter(contains).count(),
        }
    }
}

/// Whether something was published, so that a missing pointer is a lost one. A lone version that
/// follows no other is what a crash before the first swap leaves.
pub fn is_lost(found: &[Complete], completed: &[RunId]) -> bool {
    !completed.is_empty() || found.iter().any(|one| one.follows_another)
}

/// The version that the pointer has to name again: what is completed must be in it, and the published
/// one has all of that. Of several the newest.
pub fn to_put_back(found: &[Complete]) -> Option<&Version> {
    let best = found
        .iter()
        .max_by_key(|one| (one.contains, &one.version))?;
    Some(&best.version)
}
