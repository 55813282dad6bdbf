//! What was published, and by when, as far as the clean-up has to know: manifests name the version
//! that they were made from, and the store dates them.

use std::collections::BTreeMap;

use compactor_core::ports::WallTime;
use compactor_core::retention::{Publication, RetentionPolicy};
use compactor_core::{Lineage, Version};

use crate::published::Pointer;
use crate::{Error, Result, SnapshotRepository};

/// Where to look.
pub(crate) struct Listing<'a> {
    pub(crate) repository: &'a SnapshotRepository,
    pub(crate) lineage: &'a Lineage,
    /// All that have objects.
    pub(crate) versions: &'a [Version],
}

/// What manifests said of versions of a collection. They never change, and a daemon that cleans up
/// again and again reads each once.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<Version, Origin>);

#[derive(Debug, Clone)]
struct Origin {
    parent: Option<Version>,
    /// When the manifest was written.
    by: Option<WallTime>,
}

impl Origins {
    /// The publications from the pointer back, newest first: as many as `policy` counts, and on to
    /// one that is old enough. Only this shows that an operator put the pointer back:
    /// a version that was superseded long ago may have been published again.
    pub(crate) async fn history(
        &mut self,
        listing: &Listing<'_>,
        pointer: Pointer,
        policy: RetentionPolicy,
        now: WallTime,
    ) -> Result<Vec<Publication>> {
        self.0
            .retain(|version, _| listing.versions.contains(version));
        let is_settled = |one: &Publication| one.by.is_some_and(|by| policy.is_past(by, now));
        let mut newest = Publication {
            version: pointer.version,
            by: pointer.modified,
        };
        let (mut known, mut has_settled) = (Vec::new(), false);
        loop {
            has_settled |= is_settled(&newest);
            let version = newest.version.clone();
            known.push(newest);
            if has_settled && known.len() >= policy.versions {
                return Ok(known);
            }
            match self.before(listing, &version).await? {
                Some(before) => newest = before,
                None => return Ok(known),
            }
        }
    }

    /// What was published before `version` was. Always an older one, so that a history ends.
    async fn before(
        &mut self,
        listing: &Listing<'_>,
        version: &Version,
    ) -> Result<Option<Publication>> {
        if let Some(Origin { parent, by }) = self.origin(listing, version).await? {
            return Ok(parent.map(|version| Publication { version, by }));
        }
        // Python's have none. Any older version may have been published, at any time.
        let older = listing.versions.iter().filter(|other| *other < version);
        Ok(older.max().map(|older| Publication {
            version: older.clone(),
            by: None,
        }))
    }

    /// A manifest that is damaged, or too new, tells nothing, and is no reason to keep everything
    /// for ever.
    async fn origin(&mut self, listing: &Listing<'_>, version: &Version) -> Result<Option<Origin>> {
        if let Some(origin) = self.0.get(version) {
            return Ok(Some(origin.clone()));
        }
        let read = listing
            .repository
            .dated_manifest(listing.lineage, version)
            .await;
        let (manifest, by) = match read {
            Ok(Some(dated)) => dated,
            Ok(None) | Err(Error::Manifest { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let parent = manifest.parent.map(|parent| parent.version);
        let origin = Origin { parent, by };
        self.0.insert(version.clone(), origin.clone());
        Ok(Some(origin))
    }
}
