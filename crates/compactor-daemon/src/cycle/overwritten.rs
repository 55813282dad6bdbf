//! Finding out that somebody overwrote one of our versions.
//!
//! A writer that moves the pointer without a condition may put it on a version that was made from
//! an older one of ours. The runs published in between are gone then, although their records say
//! COMPLETED. A version tells what it was made from: by its manifest, or, made by a Python writer,
//! by our manifest that came along in its directory. Whatever of ours is newer and not in that
//! lineage was overwritten. Nothing is repaired here: the records are set to FAILED with a reason,
//! and somebody may announce the runs again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use compactor_core::disposition::Resource;
use compactor_core::{CollectionName, Manifest, RunId, RunState, Version};

use super::Context;
use crate::error::About as _;
use crate::patience::persist;
use crate::snapshot::{read_manifest, read_pointer, versions};
use crate::{Published, RunError, alarms};

/// What is known of each collection.
#[derive(Debug, Default)]
pub(crate) struct CheckedVersions(Mutex<BTreeMap<CollectionName, Checked>>);

#[derive(Debug, Clone, Default)]
struct Checked {
    /// Up to here everything is known to be in the lineage, but for the suspects.
    version: Option<Version>,
    /// Those whose records did not say yet what became of them.
    suspects: Suspects,
}

impl CheckedVersions {
    pub(crate) fn insert(&self, collection: &CollectionName, version: &Version) {
        let mut checked = self.lock();
        checked.entry(collection.clone()).or_default().version = Some(version.clone());
    }

    fn of(&self, collection: &CollectionName) -> Checked {
        self.lock().get(collection).cloned().unwrap_or_default()
    }

    fn suspect(&self, collection: &CollectionName, suspects: Suspects) {
        self.lock().entry(collection.clone()).or_default().suspects = suspects;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CollectionName, Checked>> {
        // A map of whole entries at every instant.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs that may be lost.
#[derive(Debug, Clone, Default)]
struct Suspects {
    runs: BTreeSet<RunId>,
    /// Completions in this version and older ones are sound.
    newer_than: Option<Version>,
}

/// Looks for versions of ours that `base` does not know, and takes back what their runs' records
/// promise. `lineage` is the newest manifest that `base` was made from.
pub(super) async fn report(
    context: &Context,
    base: &Published,
    lineage: Option<&Manifest>,
) -> Result<(), RunError> {
    let Checked {
        version,
        mut suspects,
    } = context.checked.of(&base.collection);
    if version.as_ref() != Some(&base.version) {
        let newer = newer_runs(context, base, lineage).await?;
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
        false => retract(context, base, &suspects).await?,
    };
    if !found.lost.is_empty() {
        alarms::count(alarms::OVERWRITTEN);
        let runs: Vec<_> = found.lost.into_iter().collect();
        tracing::error!(
            code = CODE,
            version = %base.version,
            runs = runs.join(", "),
            "another writer overwrote a published version: these runs are lost; `chroma-compactor runs retry RUN` merges one again"
        );
    }
    suspects.runs = found.undecided;
    context.checked.suspect(&base.collection, suspects);
    context.checked.insert(&base.collection, &base.version);
    Ok(())
}

/// As in `docs/errors.md`.
const CODE: &str = "CC-OVERWRITTEN";

/// Runs that versions newer than `lineage` contain. Some of those versions may never have been
/// published. Each names the runs of its own lineage: what was published and deleted since is known
/// from its followers.
async fn newer_runs(
    context: &Context,
    base: &Published,
    lineage: Option<&Manifest>,
) -> Result<BTreeSet<RunId>, RunError> {
    let objects = context.ports.objects.as_ref();
    let mut candidates = BTreeSet::new();
    for version in versions(objects, &base.collection).await? {
        let is_newer = lineage.is_none_or(|known| version > known.version);
        if !is_newer || version == base.version {
            continue;
        }
        let manifest = match read_manifest(objects, &base.collection, &version).await {
            Ok(Some(manifest)) => manifest,
            // What is damaged or unfinished was never published.
            Ok(None) | Err(RunError::Manifest { .. }) => continue,
            Err(error) => return Err(error),
        };
        let own = manifest.runs.into_iter().map(|run| run.run_id);
        candidates.extend(manifest.applied_runs.into_iter().chain(own));
    }
    Ok(candidates)
}

/// What became of suspects.
#[derive(Default)]
struct Found {
    /// Runs whose completion was taken back.
    lost: BTreeSet<String>,
    /// Runs whose records do not say yet.
    undecided: BTreeSet<RunId>,
}

/// Takes back completions of suspects.
async fn retract(
    context: &Context,
    base: &Published,
    suspects: &Suspects,
) -> Result<Found, RunError> {
    let (ports, collection) = (&context.ports, &base.collection);
    let records = persist(ports, &context.settings, || ports.runs.list(usize::MAX))
        .await
        .about(Resource::RunRecord)?;
    // Somebody may have published since `base` was read, and completed runs there.
    let pointer = read_pointer(ports.objects.as_ref(), collection).await?;
    if pointer.is_none_or(|pointer| pointer.etag != base.etag) {
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
            base.version
        );
        let at = ports.clock.wall();
        let retracted = persist(ports, &context.settings, || {
            let runs = &ports.runs;
            runs.retract(&record.key, collection, version, &reason, at)
        });
        if retracted.await.about(Resource::RunRecord)? {
            found.lost.insert(run.to_string());
        }
    }
    Ok(found)
}
