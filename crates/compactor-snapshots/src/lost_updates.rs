//! Finding out that another writer overwrote one of our versions.
//!
//! A writer that moves the pointer without a condition may put it on a version that it made from an older
//! one of ours. The runs that were published in between are lost then, although their records say
//! COMPLETED. A version tells what it was made from: by its manifest, or, if a Python writer made it, by
//! our manifest that came along in its directory. Whatever of ours is newer and not in that lineage was
//! overwritten. Nothing is repaired here: the records become FAILED with a reason, and an operator may
//! announce the runs again.

use std::collections::BTreeSet;

use compactor_core::disposition::Resource;
use compactor_core::ports::{Clock, RunStore};
use compactor_core::{CollectionName, Manifest, RunId, RunState, Version};

use crate::error::About as _;
use crate::published::Published;
use crate::{Error, Result, SnapshotRepository};

/// Which versions of one collection were checked for lost updates.
#[derive(Debug, Clone, Default)]
pub struct CheckedVersions {
    /// All that is up to this version is known to be in the lineage, but for the suspects.
    version: Option<Version>,
    /// Runs whose records did not say yet what became of them.
    suspects: Suspects,
}

impl CheckedVersions {
    /// Whether no version was checked yet.
    pub fn is_empty(&self) -> bool {
        self.version.is_none() && self.suspects.runs.is_empty()
    }

    /// The pointer names `version`, which we made from the version that was checked last.
    pub fn extend_to(&mut self, version: &Version) {
        self.version = Some(version.clone());
    }
}

/// Runs that may be lost.
#[derive(Debug, Clone, Default)]
struct Suspects {
    runs: BTreeSet<RunId>,
    /// Completions in this version and older ones are sound.
    newer_than: Option<Version>,
}

/// Runs of ours that another writer overwrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostUpdates {
    /// Their ids.
    pub runs: BTreeSet<String>,
}

/// As in `docs/errors.md`.
const CODE: &str = "CC-OVERWRITTEN";

impl LostUpdates {
    /// The stable code of this event, as listed in `docs/errors.md`.
    pub const CODE: &str = CODE;
}

/// Where to look for lost updates.
struct Search<'a> {
    repository: &'a SnapshotRepository,
    runs: &'a dyn RunStore,
    clock: &'a dyn Clock,
    base: &'a Published,
}

impl SnapshotRepository {
    /// Looks for versions of ours that `base` does not know, and takes back what the records of their runs
    /// promise. `lineage` is the newest manifest that `base` was made from.
    ///
    /// # Errors
    /// The store or the records cannot be read, or a record not be written.
    pub async fn lost_updates(
        &self,
        (runs, clock): (&dyn RunStore, &dyn Clock),
        base: &Published,
        lineage: Option<&Manifest>,
        checked: &mut CheckedVersions,
    ) -> Result<LostUpdates> {
        let search = Search {
            repository: self,
            runs,
            clock,
            base,
        };
        let mut suspects = checked.suspects.clone();
        if checked.version.as_ref() != Some(&base.version) {
            let newer = search.newer_runs(lineage).await?;
            let known = lineage.map(|known| known.version.clone());
            suspects.newer_than = match suspects.runs.is_empty() {
                true => known,
                false => suspects.newer_than.min(known),
            };
            suspects.runs.extend(newer);
        }
        let in_lineage = |run: &RunId| lineage.is_some_and(|known| known.contains_run(run));
        suspects.runs.retain(|run| !in_lineage(run));
        let found = match suspects.runs.is_empty() {
            true => Found::default(),
            false => search.retract(&suspects).await?,
        };
        suspects.runs = found.undecided;
        *checked = CheckedVersions {
            version: Some(base.version.clone()),
            suspects,
        };
        Ok(LostUpdates { runs: found.lost })
    }
}

/// What became of suspects.
#[derive(Default)]
struct Found {
    /// Runs whose completion was taken back.
    lost: BTreeSet<String>,
    /// Runs whose records do not say yet.
    undecided: BTreeSet<RunId>,
}

impl Search<'_> {
    fn collection(&self) -> &CollectionName {
        self.base.lineage.collection()
    }

    /// Runs that versions newer than `lineage` contain. Some of those versions may never have been
    /// published. Each names the runs of its own lineage, so a version that was published and deleted
    /// since is known from those that followed it.
    async fn newer_runs(&self, lineage: Option<&Manifest>) -> Result<BTreeSet<RunId>> {
        let mut candidates = BTreeSet::new();
        for version in self.repository.versions(&self.base.lineage).await? {
            let is_newer = lineage.is_none_or(|known| version > known.version);
            if !is_newer || version == self.base.version {
                continue;
            }
            let manifest = match self.repository.manifest(&self.base.lineage, &version).await {
                Ok(Some(manifest)) => manifest,
                // A version that is damaged or unfinished was never published.
                Ok(None) | Err(Error::Manifest { .. }) => continue,
                Err(error) => return Err(error),
            };
            let own = manifest.runs.into_iter().map(|run| run.run_id);
            candidates.extend(manifest.applied_runs.into_iter().chain(own));
        }
        Ok(candidates)
    }

    /// Takes back completions of suspects.
    async fn retract(&self, suspects: &Suspects) -> Result<Found> {
        let (retry, collection) = (&self.repository.retry, self.collection());
        let records = retry
            .call(|| self.runs.list(usize::MAX))
            .await
            .about(Resource::RunRecord)?;
        // Another worker may have published since `base` was read, and completed runs there.
        let pointer = self.repository.pointer(&self.base.lineage).await?;
        if pointer.is_none_or(|pointer| pointer.etag != self.base.etag) {
            return Ok(Found {
                undecided: suspects.runs.clone(),
                ..Found::default()
            });
        }
        let mut found = Found::default();
        for record in records {
            let run = &record.key.run_id;
            let Some(part) = record.parts.get(collection) else {
                continue;
            };
            if !suspects.runs.contains(run) {
                continue;
            }
            if part.state == RunState::Processing {
                found.undecided.insert(run.clone());
            }
            let is_newer = |version: &&Version| {
                let bound = suspects.newer_than.as_ref();
                part.state == RunState::Completed && bound.is_none_or(|bound| *version > bound)
            };
            let Some(version) = part.version.as_ref().filter(is_newer) else {
                continue;
            };
            let reason = format!(
                "{CODE}: version {version} was overwritten by {}, whose writer did not see it; \
                 `chroma-compactor runs retry {run}` merges the run again",
                self.base.version
            );
            let at = self.clock.wall();
            let retracted = retry.call(|| {
                self.runs
                    .retract(&record.key, collection, version, &reason, at)
            });
            if retracted.await.about(Resource::RunRecord)? {
                found.lost.insert(run.to_string());
            }
        }
        Ok(found)
    }
}
