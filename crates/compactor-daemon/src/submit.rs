//! Submitting a run: package, verify, upload, record, announce.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use chroma_store::{CloseOptions, ClosedStore, StoreError, VerifyLevel, pack};
use compactor_core::disposition::Resource;
use compactor_core::message::{self, Announcement, InsertedRun};
use compactor_core::ports::{Attributes, Condition, Created, PutOutcome};
use compactor_core::{CollectionName, RunId, RunKey, RunRecord, keys};
use serde::Serialize;

use crate::error::About as _;
use crate::{Ports, RunError};

/// What to submit.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The run's id; a fresh one if none is given.
    pub run_id: Option<RunId>,
    /// The delta's directory, per collection.
    pub deltas: BTreeMap<CollectionName, PathBuf>,
    /// The region that the message names.
    pub region: String,
}

/// What was submitted.
#[derive(Debug, Clone, Serialize)]
pub struct Submitted {
    /// The run.
    pub run_id: RunId,
    /// Where each delta was put.
    pub prefixes: BTreeMap<CollectionName, String>,
}

/// Submits a run. All deltas are checked before the first is uploaded, and all are uploaded
/// before the run is announced.
///
/// # Errors
/// A delta is not sound or not closed, does not hold its collection, or cannot be uploaded; or the
/// run's id was used before.
pub async fn submit(ports: &Ports, submission: Submission) -> Result<Submitted, RunError> {
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
        return Err(RunError::RunExists {
            run_id: key.run_id.to_string(),
        });
    }
    let packages = package(submission.deltas).await?;
    let mut prefixes = BTreeMap::new();
    for (collection, archive) in &packages {
        let prefix = keys::delta_prefix(collection, &key.run_id);
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
            return Err(RunError::RunExists {
                run_id: key.run_id.to_string(),
            });
        }
        prefixes.insert(collection.clone(), prefix);
    }
    announce(ports, &key, &prefixes, &submission.region).await?;
    Ok(Submitted {
        run_id: key.run_id,
        prefixes,
    })
}

fn fresh_key(ports: &Ports) -> Result<RunKey, RunError> {
    let id = ports.ids.uuid().to_string();
    id.parse()
        .map(RunKey::plain)
        .map_err(|error: compactor_core::NameError| RunError::Task {
            detail: error.to_string(),
        })
}

/// Stores the record, then sends one message per collection.
async fn announce(
    ports: &Ports,
    key: &RunKey,
    prefixes: &BTreeMap<CollectionName, String>,
    region: &str,
) -> Result<(), RunError> {
    let now = ports.clock.wall();
    let deltas: Vec<_> = prefixes
        .iter()
        .map(|(c, prefix)| (c.clone(), prefix.clone()))
        .collect();
    let record = RunRecord::new(key.clone(), deltas.clone(), now);
    let created = ports.runs.create(&record).await;
    if created.about(Resource::RunRecord)? == Created::Existed {
        return Err(RunError::RunExists {
            run_id: key.run_id.to_string(),
        });
    }
    let collections: Vec<_> = prefixes.keys().cloned().collect();
    send(ports, key, &deltas, &collections, region).await
}

/// Announces `collections` of a run that somebody put into the table.
pub(crate) async fn announce_some(
    ports: &Ports,
    run: &InsertedRun,
    collections: &[CollectionName],
) -> Result<(), RunError> {
    send(ports, &run.key, &run.deltas, collections, &run.region).await
}

/// Announces `collections` of a recorded run once more. A run that is announced twice is folded
/// once.
///
/// # Errors
/// The record has no delta for a collection, or the queue takes no message.
pub async fn announce_again(
    ports: &Ports,
    record: &RunRecord,
    collections: &[CollectionName],
    region: &str,
) -> Result<(), RunError> {
    let parts = record
        .parts
        .iter()
        .filter(|(_, part)| !part.prefix.is_empty());
    let deltas: Vec<_> = parts
        .map(|(name, part)| (name.clone(), part.prefix.clone()))
        .collect();
    send(ports, &record.key, &deltas, collections, region).await
}

/// One message per collection.
async fn send(
    ports: &Ports,
    key: &RunKey,
    deltas: &[(CollectionName, String)],
    collections: &[CollectionName],
    region: &str,
) -> Result<(), RunError> {
    for collection in collections {
        let stream_record_id = ports.ids.uuid().simple().to_string();
        let (body, attributes) = message::encode(
            &Announcement {
                key,
                deltas,
                at: ports.clock.wall(),
                region,
                stream_record_id: &stream_record_id[..8],
            },
            collection,
        )?;
        ports
            .queue
            .send(&body, &attributes)
            .await
            .about(Resource::Queue)?;
    }
    Ok(())
}

/// Checks every delta and packs it into a temporary file.
async fn package(
    deltas: BTreeMap<CollectionName, PathBuf>,
) -> Result<Vec<(CollectionName, Arc<tempfile::NamedTempFile>)>, RunError> {
    let work = move || {
        let mut checked = Vec::new();
        for (collection, dir) in deltas {
            let store = ClosedStore::prove(&dir, &CloseOptions::default())?;
            let report = store.verify(VerifyLevel::Full)?;
            if report.collection(collection.as_str()).is_none() {
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
            checked.push((collection, store));
        }
        checked
            .into_iter()
            .map(|(collection, store)| {
                let archive = tempfile::NamedTempFile::new()?;
                pack(&store, &[], BufWriter::new(archive.as_file()))?.flush()?;
                Ok((collection, Arc::new(archive)))
            })
            .collect::<Result<Vec<_>, StoreError>>()
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}
