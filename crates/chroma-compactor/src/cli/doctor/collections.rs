//! The checks of each collection: its published snapshot, waiting runs, unpublished versions and lock. They
//! read only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytesize::ByteSize;
use compactor_core::ports::PortResult;
use compactor_core::{CollectionName, RunRecord, RunState};
use compactor_snapshots::{Error, SnapshotRepository};

use super::COLLECTION;
use super::finding::Finding;
use crate::settings::Opened;

const SNAPSHOTS: &str = "snapshots";
/// How many versions a finding names if the published one cannot be used.
const NEWEST: usize = 5;

/// Runs the checks of all collections; those of locks only if `has_locks`, the lock store works.
pub(super) async fn all(ports: &Opened, records: &[RunRecord], has_locks: bool) -> Vec<Finding> {
    let names = match names(ports, records).await {
        Ok(names) => names,
        Err(error) => return vec![Finding::failed(SNAPSHOTS, &error)],
    };
    let mut findings = snapshots(ports, records, &names).await;
    findings.push(waiting(records));
    findings.push(newer(ports, &names).await);
    if has_locks {
        findings.push(held_locks(ports, &names).await);
    }
    findings
}

fn repository(ports: &Opened) -> SnapshotRepository {
    SnapshotRepository::new(Arc::clone(&ports.objects))
}

/// Every collection that has an object, a queue or a run record.
async fn names(ports: &Opened, records: &[RunRecord]) -> PortResult<BTreeSet<CollectionName>> {
    let folders = ports.objects.list_all_folders("").await?;
    let mut names: BTreeSet<CollectionName> = folders
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    if let Ok(queue) = &ports.queue {
        names.extend(queue.own_queues());
    }
    names.extend(
        records
            .iter()
            .flat_map(|record| record.parts.keys().cloned()),
    );
    names.retain(|name| name.as_str() != COLLECTION);
    Ok(names)
}

/// One finding for all sound snapshots, and one for each damaged snapshot.
async fn snapshots(
    ports: &Opened,
    records: &[RunRecord],
    names: &BTreeSet<CollectionName>,
) -> Vec<Finding> {
    let (mut whole, mut findings) = (0, Vec::new());
    for name in names {
        match repository(ports).inspect(records, &name.into()).await {
            Ok(Some(_)) => whole += 1,
            Ok(None) => {}
            Err(error) => findings.push(damaged(ports, name, &error).await),
        }
    }
    if findings.is_empty() || whole > 0 {
        let found = match whole {
            0 => "nothing is published yet".to_owned(),
            _ => format!("{whole} published; their pointers, manifests and files are complete"),
        };
        findings.insert(0, Finding::ok(SNAPSHOTS, found));
    }
    findings
}

/// The error, and the versions that the pointer could name instead.
async fn damaged(ports: &Opened, name: &CollectionName, error: &Error) -> Finding {
    let mut found = format!("{name}: {}", error.with_causes());
    let versions = repository(ports).versions(&name.into()).await;
    let versions = versions.unwrap_or_default();
    let newest: Vec<String> = versions
        .iter()
        .rev()
        .take(NEWEST)
        .map(ToString::to_string)
        .collect();
    if !newest.is_empty() {
        found = format!("{found}; its newest versions are {}", newest.join(", "));
    }
    Finding::bad(SNAPSHOTS, found, error.help()).coded(error.code())
}

/// Runs that wait for another attempt after a failed one; for each collection, the newest error.
fn waiting(records: &[RunRecord]) -> Finding {
    const CHECK: &str = "waiting runs";
    let mut waiting: BTreeMap<&CollectionName, (usize, &str)> = BTreeMap::new();
    for (name, part) in records.iter().flat_map(|record| &record.parts) {
        let is_open = matches!(part.state, RunState::Pending | RunState::Processing);
        if let Some(error) = part.error.as_deref().filter(|_| is_open) {
            waiting.entry(name).or_insert((0, error)).0 += 1;
        }
    }
    if waiting.is_empty() {
        return Finding::ok(CHECK, "no run waits after a failed attempt");
    }
    let found: Vec<String> = waiting
        .iter()
        .map(|(name, (runs, error))| format!("{name}: {runs} after a failed attempt: {error}"))
        .collect();
    let fix = "look the code up in docs/errors.md; a running daemon tries them again";
    Finding::warning(CHECK, found.join("; "), fix)
}

/// Versions newer than the published one. Clean-up keeps them until the pointer has passed them.
async fn newer(ports: &Opened, names: &BTreeSet<CollectionName>) -> Finding {
    const CHECK: &str = "unpublished versions";
    let mut found = Vec::new();
    for name in names {
        // Another check reports a pointer that cannot be read.
        let newer = repository(ports).unpublished(&name.into()).await;
        for one in newer.unwrap_or_default() {
            let size = ByteSize(one.bytes);
            found.push(format!("{name}: {} ({size})", one.version));
        }
    }
    if found.is_empty() {
        return Finding::ok(CHECK, "none");
    }
    let note = "nothing: their writers may still publish them; `clean-up` deletes them once a newer \
                version is published";
    Finding::note(CHECK, found.join("; "), note)
}

async fn held_locks(ports: &Opened, names: &BTreeSet<CollectionName>) -> Finding {
    const CHECK: &str = "held locks";
    let mut found = Vec::new();
    for name in names {
        match ports.leases.holder(&name.into()).await {
            Ok(None) => {}
            Ok(Some(holder)) => {
                let end = match holder.expires {
                    Some(expires) => format!("until {}", expires.to_iso()),
                    None => "without an expiry".to_owned(),
                };
                found.push(format!("{name}: {} {end}", holder.owner));
            }
            Err(error) => return Finding::failed(CHECK, &error),
        }
    }
    let found = match found.is_empty() {
        true => "none".to_owned(),
        false => found.join("; "),
    };
    Finding::ok(CHECK, found)
}
