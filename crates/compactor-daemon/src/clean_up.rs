//! Deleting versions that nobody reads any more, and what never became one. Which versions may go is
//! decided by `compactor_core::retention`; this module only asks, looks again, and deletes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::disposition::Resource;
use compactor_core::ports::Monotonic;
use compactor_core::retention::{RetentionPolicy, superseded};
use compactor_core::{CollectionName, Version, keys};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::cycle::Context;
use crate::error::About as _;
use crate::snapshot::{Listing, Origins, read_pointer, versions};
use crate::{Ports, RunError};

/// What was deleted, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanUp {
    /// The collection.
    pub collection: CollectionName,
    /// Versions, oldest first.
    pub versions: Vec<Version>,
    /// Their objects.
    pub objects: u64,
    /// And bytes.
    pub bytes: u64,
    /// Uploads that were begun and never finished.
    pub uploads: u64,
}

/// No upload takes longer. What was begun earlier belongs to a process that is no more.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes the superseded versions of a collection and ends uploads that were never finished, or
/// only says which. `None` if nothing was published.
///
/// # Errors
/// The store cannot be read, an object not be deleted, or the pointer not be understood. What was
/// deleted until then stays deleted; the rest goes the next time.
pub async fn clean_up(
    ports: &Ports,
    collection: &CollectionName,
    policy: RetentionPolicy,
    dry_run: bool,
) -> Result<Option<CleanUp>, RunError> {
    let mut origins = Origins::default();
    clean_up_knowing(ports, collection, policy, dry_run, &mut origins).await
}

async fn clean_up_knowing(
    ports: &Ports,
    collection: &CollectionName,
    policy: RetentionPolicy,
    dry_run: bool,
    origins: &mut Origins,
) -> Result<Option<CleanUp>, RunError> {
    let objects = ports.objects.as_ref();
    let Some(pointer) = read_pointer(objects, collection).await? else {
        return Ok(None);
    };
    let found = versions(objects, collection).await?;
    let now = ports.clock.wall();
    let listing = Listing {
        objects,
        collection,
        versions: &found,
    };
    let published = origins.history(&listing, pointer, policy, now).await?;
    let doomed = superseded(&found, &published, policy, now);
    let mut done = CleanUp {
        collection: collection.clone(),
        versions: Vec::new(),
        objects: 0,
        bytes: 0,
        uploads: 0,
    };
    for version in doomed {
        // Somebody may have put the pointer on an old version by hand.
        let now = read_pointer(objects, collection).await?;
        if now.is_none_or(|now| now.version <= version) {
            break;
        }
        let (count, bytes) = delete(ports, collection, &version, dry_run).await?;
        done.objects += count;
        done.bytes += bytes;
        done.versions.push(version);
    }
    match end_uploads(ports, collection, dry_run).await {
        Ok(uploads) => done.uploads = uploads,
        // Not everybody may list them, and not every store has them.
        Err(error) => {
            tracing::warn!(%collection, code = error.code(), %error, "cannot look for unfinished uploads");
        }
    }
    Ok(Some(done))
}

/// Ends uploads that nobody is at any more.
async fn end_uploads(
    ports: &Ports,
    collection: &CollectionName,
    dry_run: bool,
) -> Result<u64, RunError> {
    let prefix = keys::timestamped_prefix(collection);
    let mut uploads = ports
        .objects
        .unfinished(&prefix)
        .await
        .about(Resource::Base)?;
    let now = ports.clock.wall();
    uploads.retain(|upload| upload.begun.plus(LONGEST_UPLOAD) <= now);
    if !dry_run {
        for upload in &uploads {
            ports.objects.abort(upload).await.about(Resource::Base)?;
            tracing::info!(%collection, key = upload.key, "ended an upload that was never finished");
        }
    }
    Ok(uploads.len() as u64)
}

/// Deletes the manifest last: while it is there, somebody who was interrupted finds the rest.
async fn delete(
    ports: &Ports,
    collection: &CollectionName,
    version: &Version,
    dry_run: bool,
) -> Result<(u64, u64), RunError> {
    let (prefix, manifest) = (
        keys::version_prefix(collection, version),
        keys::manifest(collection, version),
    );
    let mut found = ports
        .objects
        .list_all(&prefix)
        .await
        .about(Resource::Base)?;
    found.sort_by_key(|info| info.key == manifest);
    if !dry_run {
        for info in &found {
            ports
                .objects
                .delete(&info.key)
                .await
                .about(Resource::Base)?;
        }
        tracing::info!(%collection, %version, objects = found.len(), "deleted a superseded version");
    }
    let bytes = found.iter().map(|info| info.size).sum();
    Ok((found.len() as u64, bytes))
}

/// Cleans up behind a daemon, every now and then, after it published.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    due: BTreeMap<CollectionName, Monotonic>,
    origins: BTreeMap<CollectionName, Arc<Mutex<Origins>>>,
    /// Ended with the daemon: what was not deleted goes the next time.
    running: JoinSet<()>,
}

impl Cleaner {
    pub(crate) fn published(&mut self, context: &Context, collection: &CollectionName) {
        while self.running.try_join_next().is_some() {}
        let (ports, every) = (&context.ports, context.settings.clean_up_every);
        let now = ports.clock.monotonic();
        // Many daemons are started together; they need not clean up together.
        let first = Monotonic(now.0.saturating_add(every.mul_f64(ports.ids.fraction())));
        let due = self.due.entry(collection.clone()).or_insert(first);
        if now < *due {
            return;
        }
        *due = Monotonic(now.0.saturating_add(every));
        let (ports, policy) = (ports.clone(), context.settings.retention);
        let collection = collection.clone();
        let origins = Arc::clone(self.origins.entry(collection.clone()).or_default());
        self.running.spawn(async move {
            let mut origins = origins.lock().await;
            let cleaned = clean_up_knowing(&ports, &collection, policy, false, &mut origins).await;
            if let Err(error) = cleaned {
                tracing::warn!(%collection, code = error.code(), %error, "cannot clean up; trying again later");
            }
        });
    }
}
