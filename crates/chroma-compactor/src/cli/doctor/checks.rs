//! The checks of services and of this machine, each through the port that a daemon uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use compactor_core::ports::{
    Acquired, Attributes, Condition, ETag, Fault, ObjectStore, PortError, PortResult, PutOutcome,
    Queue,
};
use compactor_core::{CollectionName, Lineage, RunKey, RunRecord};
use compactor_daemon::check_queue_rights;
use compactor_snapshots::Scratch;
use tempfile::TempDir;

use super::finding::{Finding, Verdict};
use super::{COLLECTION, collections};
use crate::error::CommandError;
use crate::settings::{Opened, RawSettings};

/// Bytes of free disk space below which a single cycle may fill the disk.
const LEAST_SPACE: u64 = 256 << 20;
/// Bytes of an object that every backend uploads in more than one part.
const IN_PARTS: u64 = 9 << 20;
const TERM: Duration = Duration::from_secs(10);
/// How many run records are read: they name collections that have no object yet.
const RECORDS: usize = 1000;
const NO_CREDENTIALS: &str = "CC-AWS-CREDENTIALS";

/// Runs all checks, in the order in which a daemon would run into trouble.
pub(super) async fn all(settings: &RawSettings) -> Vec<Finding> {
    // The stores first: if they make the data directory, they set its permissions.
    let opened = settings.open_each().await;
    let scratch = settings.claim_scratch();
    let mut findings = vec![disk(scratch.as_ref())];
    let ports = match opened {
        Ok(ports) => ports,
        Err(error) => {
            // Every other check would fail for the same reason.
            let check = match error.code() {
                NO_CREDENTIALS => "credentials",
                _ => "connection",
            };
            let fix = error.help().unwrap_or_default();
            let found = Finding::bad(check, error.to_string(), fix);
            findings.push(found.coded(error.code()));
            return findings;
        }
    };
    let reached = ports.objects.list(COLLECTION, None).await;
    match &reached {
        Ok(_) => {
            findings.push(objects(&ports).await);
            if !settings.is_local() {
                // The first finding reports a lack of working space already.
                if let Ok(scratch) = &scratch {
                    findings.push(large_objects(&ports, scratch).await);
                }
                findings.push(pointer_policy(&ports).await);
            }
        }
        Err(error) => findings.push(Finding::failed("objects", error)),
    }
    findings.push(match &ports.queue {
        Ok(found) => queue(found.as_ref()).await,
        Err(error) => {
            let fix = "check its name, and that it has a redrive policy with a dead-letter queue: docs/aws.md";
            Finding::bad("queue", error.to_string(), fix).coded(error.code())
        }
    });
    let locks = locks(&ports).await;
    let has_locks = locks.verdict != Verdict::Bad;
    findings.push(locks);
    let (runs, records) = runs(&ports).await;
    findings.push(runs);
    if reached.is_ok() {
        findings.extend(collections::all(&ports, &records, has_locks).await);
    }
    findings
}

fn disk(scratch: Result<&Scratch, &CommandError>) -> Finding {
    const CHECK: &str = "working space";
    const FIX: &str =
        "set worker.scratch or storage.path to a folder that this account can write to";
    let scratch = match scratch {
        Ok(scratch) => scratch,
        Err(error) => {
            let fix = error.help().unwrap_or(FIX);
            return Finding::bad(CHECK, error.to_string(), fix);
        }
    };
    let folder = match scratch.folder("doctor") {
        Ok(folder) => folder,
        Err(error) => return Finding::bad(CHECK, error.to_string(), FIX),
    };
    if let Err(error) = chroma_store::try_temporary_files() {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        let found = format!("{error}: {}", reason.unwrap_or_default());
        return Finding::bad(CHECK, found, FIX);
    }
    match free_space(folder.path()) {
        Ok(free) if free < LEAST_SPACE => {
            let fix = "make room: a cycle needs about three times the size of the snapshot";
            Finding::bad(CHECK, format!("{} are free", ByteSize(free)), fix)
        }
        Ok(free) => Finding::ok(CHECK, format!("{} are free", ByteSize(free))),
        Err(error) => Finding::warning(CHECK, error.to_string(), FIX),
    }
}

fn free_space(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The key of a pointer that belongs to no collection. A bucket policy for pointers covers it.
fn probe(ports: &Opened) -> String {
    format!(
        "{COLLECTION}/{}/snapshot/latest-pointer.txt",
        ports.ids.uuid()
    )
}

async fn objects(ports: &Opened) -> Finding {
    const CHECK: &str = "objects";
    let key = probe(ports);
    let tried = conditional_writes(ports.objects.as_ref(), &key).await;
    let deleted = ports.objects.delete(&key).await;
    match (tried, deleted) {
        (Ok(None), Ok(())) => Finding::ok(CHECK, "the store keeps the conditions of writes"),
        (Ok(None), Err(error)) => Finding::warning(
            CHECK,
            error.to_string(),
            "allow deletes (s3:DeleteObject), or no superseded version can be deleted; remove the probe by hand",
        ),
        (Ok(Some(broken)), _) => Finding::bad(
            CHECK,
            broken,
            "use a store that supports If-Match and If-None-Match: without them writers overwrite each other, and runs are lost",
        ),
        (Err(error), _) => Finding::failed(CHECK, &error),
    }
}

/// Writes with conditions. Returns what the store did wrong, if it did.
async fn conditional_writes(
    objects: &dyn ObjectStore,
    key: &str,
) -> PortResult<Option<&'static str>> {
    let put = async |condition| {
        objects
            .put(key, "probe".into(), condition, &Attributes::new())
            .await
    };
    if !matches!(put(Condition::IfAbsent).await?, PutOutcome::Written(_)) {
        return Ok(Some("If-None-Match kept a new object from being written"));
    }
    if put(Condition::IfAbsent).await? != PutOutcome::PreconditionFailed {
        return Ok(Some(
            "the store ignored If-None-Match: an object was overwritten",
        ));
    }
    let other = Condition::IfMatch(ETag("\"0123456789abcdef0123456789abcdef\"".to_owned()));
    if put(other).await? != PutOutcome::PreconditionFailed {
        return Ok(Some(
            "the store ignored If-Match: an object was overwritten",
        ));
    }
    match objects.get(key, 1 << 10).await? {
        Some(object) if &object.body[..] == b"probe" => Ok(None),
        _ => Ok(Some("an object does not contain what was written")),
    }
}

/// Checks whether a bucket policy refuses pointer writes without a condition.
async fn pointer_policy(ports: &Opened) -> Finding {
    const CHECK: &str = "pointer policy";
    let (key, objects) = (probe(ports), ports.objects.as_ref());
    let put = async |condition| {
        objects
            .put(&key, "probe".into(), condition, &Attributes::new())
            .await
    };
    // If the store refuses every write, a refusal says nothing about the policy.
    let moved = match put(Condition::IfAbsent).await {
        Ok(PutOutcome::Written(tag)) => put(Condition::IfMatch(tag)).await,
        other => other,
    };
    let proof = match moved {
        Ok(PutOutcome::Written(_)) => Ok(()),
        Ok(outcome) => Err(format!("{outcome:?}")),
        Err(error) => Err(error.to_string()),
    };
    if let Err(refused) = proof {
        let _ = objects.delete(&key).await;
        let found = format!("unknown: a pointer cannot be written with a condition ({refused})");
        return Finding::warning(CHECK, found, "fix the objects first");
    }
    let put = put(Condition::Always).await;
    let _ = objects.delete(&key).await;
    match put {
        Err(error) if error.fault == Fault::Denied => {
            Finding::ok(CHECK, "pointers can only be written with a condition")
        }
        Ok(_) => Finding::warning(
            CHECK,
            "pointers can be written without a condition: another writer can undo what was published",
            "refuse such writes with the bucket policy in docs/aws.md",
        ),
        Err(error) => Finding::failed(CHECK, &error),
    }
}

/// Checks that an object can be uploaded in parts.
async fn large_objects(ports: &Opened, scratch: &Scratch) -> Finding {
    const CHECK: &str = "large objects";
    let key = format!("{COLLECTION}/{}/large", ports.ids.uuid());
    let (_folder, file) = match zeros(scratch) {
        Ok(made) => made,
        Err(error) => return Finding::bad(CHECK, error.to_string(), "fix the working space first"),
    };
    let metadata = Attributes::new();
    let sent = ports
        .objects
        .upload(&key, &file, Condition::IfAbsent, &metadata);
    let sent = sent.await;
    let _ = ports.objects.delete(&key).await;
    match sent.map(|sent| sent.outcome) {
        Ok(PutOutcome::Written(_)) => Finding::ok(CHECK, "can be uploaded in parts"),
        Ok(outcome) => Finding::bad(CHECK, format!("{outcome:?}"), "try again"),
        Err(error) => Finding::failed(CHECK, &error),
    }
}

/// A file to upload, and the folder that removes it when dropped.
fn zeros(scratch: &Scratch) -> std::io::Result<(TempDir, PathBuf)> {
    let folder = scratch.folder("doctor")?;
    let path = folder.path().join("zeros");
    fs_err::File::create(&path)?.set_len(IN_PARTS)?;
    Ok((folder, path))
}

async fn queue(queue: &dyn Queue) -> Finding {
    const CHECK: &str = "queue";
    if let Err(error) = check_queue_rights(queue).await {
        return Finding::failed(CHECK, &error);
    }
    match queue.depth().await {
        Ok(depth) if depth.dead > 0 => Finding::warning(
            CHECK,
            format!("the dead-letter queue has {} messages", depth.dead),
            "read why in their attribute dead_letter_reason, or in `chroma-compactor runs`",
        ),
        Ok(depth) => {
            let waiting = depth.visible + depth.delayed + depth.in_flight;
            let receives = queue.max_receives();
            let found = format!("{waiting} messages; a message is dead after {receives} receives");
            Finding::ok(CHECK, found)
        }
        Err(error) => Finding::failed(CHECK, &error),
    }
}

async fn locks(ports: &Opened) -> Finding {
    const CHECK: &str = "locks";
    match try_locks(ports).await {
        Ok(true) => Finding::ok(CHECK, "can be acquired, renewed and released"),
        Ok(false) => Finding::warning(
            CHECK,
            "the lock of the collection `doctor` is held",
            "another doctor is running; try again in a minute",
        ),
        Err(error) => Finding::failed(CHECK, &error),
    }
}

async fn try_locks(ports: &Opened) -> PortResult<bool> {
    let owner = ports.ids.uuid();
    let lineage = Lineage::from(doctor()?);
    if ports.leases.acquire(&lineage, owner, TERM).await? != Acquired::Held {
        return Ok(false);
    }
    ports.leases.next_fence(&lineage).await?;
    let renewed = ports.leases.renew(&lineage, owner, TERM).await?;
    let released = ports.leases.release(&lineage, owner).await?;
    Ok(renewed && released)
}

fn doctor() -> PortResult<CollectionName> {
    COLLECTION
        .parse()
        .map_err(|error: compactor_core::NameError| {
            PortError::new("name", COLLECTION, Fault::Invalid, error.to_string())
        })
}

/// Checks that run records can be read, and returns the newest.
async fn runs(ports: &Opened) -> (Finding, Vec<RunRecord>) {
    const CHECK: &str = "run records";
    let read = async {
        let listed = ports.runs.list(RECORDS).await?;
        if let Ok(run) = ports.ids.uuid().to_string().parse() {
            ports.runs.get(&RunKey::plain(run)).await?;
        }
        PortResult::Ok(listed)
    };
    match read.await {
        Ok(records) => {
            let newest = records.first().map(|record| record.key.run_id.to_string());
            let found = newest.map_or_else(
                || "none yet".to_owned(),
                |run| format!("the newest is {run}"),
            );
            (Finding::ok(CHECK, found), records)
        }
        Err(error) => (Finding::failed(CHECK, &error), Vec::new()),
    }
}
