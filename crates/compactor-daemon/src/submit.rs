//! Submitting a run: package, verify, upload, record, announce.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use chroma_store::{
    CloseOptions, ClosedStore, EmbeddingFunction, StoreError, StoreResult, VerifyLevel,
    functions_left_out, pack, refuse_long_records, refuse_open_elsewhere,
};
use compactor_core::disposition::Resource;
use compactor_core::keys::DeltaLocation;
use compactor_core::ports::{Attributes, Condition, Created, PutOutcome};
use compactor_core::{CollectionName, RunId, RunKey, RunRecord, keys};
use compactor_snapshots::{About as _, Limits, SnapshotRepository};
use serde::Serialize;

use crate::announce::announce_one;
use crate::{Admission, Error, Ports, Result};

/// What to submit.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The run's id; a fresh one if none is given.
    pub run_id: Option<RunId>,
    /// The delta's directory, per collection.
    pub deltas: BTreeMap<CollectionName, PathBuf>,
    /// The region that the message names.
    pub region: String,
    /// What a daemon will take: how much of it,
    pub limits: Limits,
    /// of which collections, and from where,
    pub admission: Admission,
    /// and with which embedding functions.
    pub embedding_functions: Vec<EmbeddingFunction>,
}

/// What was submitted.
#[derive(Debug, Clone, Serialize)]
pub struct Submitted {
    /// The run.
    pub run_id: RunId,
    /// Where each delta was put.
    pub prefixes: BTreeMap<CollectionName, String>,
    /// Embedding functions that the first snapshot of a collection will not have of its delta: readers
    /// have to name them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<CollectionName, Vec<String>>,
}

/// Submits a run. All deltas are checked before the first is uploaded, and all are uploaded
/// before the run is announced.
///
/// # Errors
/// A delta is not sound or not closed, another process has it open, it does not hold its collection,
/// does not fit what is published, passes a limit, or cannot be uploaded; or the run's id was used
/// before.
pub async fn submit(ports: &Ports, submission: Submission) -> Result<Submitted> {
    let key = match submission.run_id {
        Some(run_id) => RunKey::plain(run_id),
        None => fresh_key(ports)?,
    };
    if ports
        .runs
        .get(&key)
        .await
        .about(Resource::RunRecord)?
        .is_some()
    {
        return Err(Error::RunExists {
            run_id: key.run_id.to_string(),
        });
    }
    for collection in submission.deltas.keys() {
        let location = DeltaLocation {
            bucket: None,
            prefix: submission.admission.delta_prefix(collection, &key.run_id),
        };
        submission.admission.of_delta(collection, &location)?;
    }
    let (longest, allowed) = (
        submission.limits.value_bytes,
        submission.embedding_functions,
    );
    let checked = check(submission.deltas, longest, allowed).await?;
    let mut left_out = BTreeMap::new();
    for delta in &checked {
        let is_first = fits(ports, delta).await?;
        if is_first && !delta.functions.is_empty() {
            let names = delta.functions.iter().map(ToString::to_string);
            left_out.insert(delta.collection.clone(), names.collect());
        }
    }
    let packages = package(checked, submission.limits).await?;
    let mut prefixes = BTreeMap::new();
    for (collection, archive) in &packages {
        let prefix = submission.admission.delta_prefix(collection, &key.run_id);
        let metadata = Attributes::from([
            ("delta_key".to_owned(), prefix.clone()),
            ("run_id".to_owned(), key.run_id.to_string()),
        ]);
        let object = keys::delta_archive(&prefix);
        // Never over another's: it may be announced already.
        let sent = ports
            .objects
            .upload(&object, archive.path(), Condition::IfAbsent, &metadata)
            .await
            .about(Resource::Delta)?;
        if !matches!(sent.outcome, PutOutcome::Written(_)) {
            return Err(Error::RunExists {
                run_id: key.run_id.to_string(),
            });
        }
        prefixes.insert(collection.clone(), prefix);
    }
    announce(ports, &key, &prefixes, &submission.region).await?;
    Ok(Submitted {
        run_id: key.run_id,
        prefixes,
        left_out,
    })
}

fn fresh_key(ports: &Ports) -> Result<RunKey> {
    let id = ports.ids.uuid().to_string();
    id.parse()
        .map(RunKey::plain)
        .map_err(|error: compactor_core::NameError| {
            let detail = error.to_string();
            compactor_snapshots::Error::Task { detail }.into()
        })
}

/// Stores the record, then sends one message per collection.
async fn announce(
    ports: &Ports,
    key: &RunKey,
    prefixes: &BTreeMap<CollectionName, String>,
    region: &str,
) -> Result<()> {
    let now = ports.clock.wall();
    let deltas: Vec<_> = prefixes
        .iter()
        .map(|(c, prefix)| (c.clone(), prefix.clone()))
        .collect();
    let record = RunRecord::new(key.clone(), deltas, now);
    let created = ports.runs.create(&record).await;
    if created.about(Resource::RunRecord)? == Created::Existed {
        return Err(Error::RunExists {
            run_id: key.run_id.to_string(),
        });
    }
    for (collection, prefix) in prefixes {
        announce_one(ports, key, (collection, prefix), region).await?;
    }
    Ok(())
}

/// A delta that was found sound.
struct Checked {
    /// Embedding functions that a first snapshot would not take over.
    functions: Vec<EmbeddingFunction>,
    collection: CollectionName,
    store: ClosedStore,
    dimension: Option<u32>,
}

async fn check(
    deltas: BTreeMap<CollectionName, PathBuf>,
    longest_value: u32,
    allowed: Vec<EmbeddingFunction>,
) -> Result<Vec<Checked>> {
    let work = move || {
        let checked = deltas.into_iter().map(|(collection, dir)| {
            refuse_open_elsewhere(&dir)?;
            let store = ClosedStore::prove(&dir, &CloseOptions::default())?;
            let report = store.verify(VerifyLevel::Full)?;
            refuse_long_records(&dir, collection.as_str(), longest_value)?;
            let found = report.collection(collection.as_str());
            let dimension = match found {
                Some(found) => found.dimension,
                None => {
                    return Err(StoreError::CollectionMissing {
                        path: dir,
                        name: collection.to_string(),
                        available: report
                            .collections
                            .into_iter()
                            .map(|found| found.full_name.to_string())
                            .collect(),
                    });
                }
            };
            let functions = functions_left_out(&dir, collection.as_str(), &allowed)?;
            Ok(Checked {
                functions,
                collection,
                store,
                dimension,
            })
        });
        checked.collect::<StoreResult<Vec<_>>>()
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Compares with what is published, if that can be asked: not every producer may read it, and a
/// daemon looks again. Returns whether nothing is published.
async fn fits(ports: &Ports, delta: &Checked) -> Result<bool> {
    let repository = SnapshotRepository::new(Arc::clone(&ports.objects));
    let collection = &delta.collection;
    let mut is_first = false;
    let base = match repository.rows(&collection.into()).await {
        Ok(rows) => {
            is_first = rows.is_none();
            rows.and_then(|rows| rows.dimension)
        }
        Err(error) => {
            tracing::debug!(%collection, code = error.code(), %error, "what is published is not known");
            None
        }
    };
    match (base, delta.dimension) {
        (Some(base), Some(dimension)) if base != dimension => Err(StoreError::DimensionMismatch {
            collection: collection.to_string(),
            base,
            delta: dimension,
        }
        .into()),
        _ => Ok(is_first),
    }
}

/// Packs every delta into a temporary file.
async fn package(
    checked: Vec<Checked>,
    limits: Limits,
) -> Result<Vec<(CollectionName, Arc<tempfile::NamedTempFile>)>> {
    let work = move || {
        let mut packages = Vec::new();
        for delta in &checked {
            let archive = tempfile::NamedTempFile::new().map_err(StoreError::from)?;
            let mut packed = pack(&delta.store, &[], BufWriter::new(archive.as_file()))?;
            packed.flush().map_err(StoreError::from)?;
            drop(packed);
            let size = archive.as_file().metadata().map_err(StoreError::from)?;
            allow(delta, size.len(), &limits)?;
            packages.push((delta.collection.clone(), Arc::new(archive)));
        }
        // A process that opened one meanwhile may be about to write what was not packed.
        for delta in &checked {
            refuse_open_elsewhere(delta.store.dir())?;
            delta.store.still_closed()?;
        }
        Ok(packages)
    };
    tokio::task::spawn_blocking(work).await?
}

/// Whether a daemon with these limits takes what was packed.
fn allow(delta: &Checked, packed: u64, limits: &Limits) -> Result<()> {
    if packed > limits.archive_bytes {
        return Err(compactor_snapshots::Error::TooLarge {
            what: format!("the packed delta {}", delta.store.dir().display()),
            limit: limits.archive_bytes,
            unit: "bytes",
            setting: "limits.archive",
        }
        .into());
    }
    let entries = delta.store.paths().count() as u64;
    let allowed = limits.unpacked.allow(packed, delta.store.size()?, entries);
    Ok(allowed?)
}
