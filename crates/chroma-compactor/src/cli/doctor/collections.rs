//! What is published, held and left over, collection by collection: looked at, never changed.

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
/// Versions that are named where the published one cannot be used.
const NEWEST: usize = 5;

/// Snapshots, versions that were not published, and locks unless they cannot be read.
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

/// All collections that something is known of.
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

/// One finding for all that are whole, and one for each that is not.
async fn snapshots(
    ports: &Opened,
    records: &[RunRecord],
    names: &BTreeSet<CollectionName>,
) -> Vec<Finding> {
    let (mut whole, mut findings) = (0, Vec::new());
    for name in names {
        match repository(ports).inspect(records, name).await {
            Ok(Some(_)) => whole += 1,
            Ok(None) => {}
            Err(error) => findings.push(damaged(ports, name, &error).await),
        }
    }
    if findings.is_empty() || whole > 0 {
        let found = match whole {
            0 => "nothing is published yet".to_owned(),
            _ => format!("{whole} published; pointers, manifests and files are there"),
        };
        findings.insert(0, Finding::ok(SNAPSHOTS, found));
    }
    findings
}

/// What is wrong, and the versions that the pointer could name.
async fn damaged(ports: &Opened, name: &CollectionName, error: &Error) -> Finding {
    let mut found = format!("{name}: {}", error.with_causes());
    let versions = repository(ports).versions(name).await;
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

/// Runs whose last attempt failed and that are tried again: why, of each collection the newest one.
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
        return Finding::ok(CHECK, "none whose last attempt failed");
    }
    let found: Vec<String> = waiting
        .iter()
        .map(|(name, (runs, error))| format!("{name}: {runs}, the last attempt failed: {error}"))
        .collect();
    let fix = "see docs/errors.md for the code; they are tried again while a daemon runs";
    Finding::warning(CHECK, found.join("; "), fix)
}

/// What clean-up leaves alone until the pointer has passed it.
async fn newer(ports: &Opened, names: &BTreeSet<CollectionName>) -> Finding {
    const CHECK: &str = "unpublished versions";
    let mut found = Vec::new();
    for name in names {
        // A pointer that cannot be understood was found already.
        let newer = repository(ports).unpublished(name).await;
        for one in newer.unwrap_or_default() {
            let size = ByteSize(one.bytes);
            found.push(format!("{name}: {} ({size})", one.version));
        }
    }
    if found.is_empty() {
        return Finding::ok(CHECK, "none");
    }
    let note = "nothing: they may be published yet; `clean-up` deletes them once the pointer has \
                passed them";
    Finding::note(CHECK, found.join("; "), note)
}

async fn held_locks(ports: &Opened, names: &BTreeSet<CollectionName>) -> Finding {
    const CHECK: &str = "held locks";
    let mut found = Vec::new();
    for name in names {
        match ports.leases.holder(name).await {
            Ok(None) => {}
            Ok(Some(holder)) => {
                let end = match holder.expires {
                    Some(expires) => format!("until {}", expires.to_iso()),
                    None => "without an end".to_owned(),
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
