//! Several processes on one directory. The test binary starts itself again as the other processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, LeaseStore, ObjectStore, PutOutcome, Queue,
};
use compactor_core::{CollectionName, Lineage};
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};

const ROLE: &str = "LOCAL_TEST_ROLE";
const FOLDER: &str = "LOCAL_TEST_FOLDER";
const PROCESSES: usize = 3;
const EACH: usize = 60;

fn open(folder: &Path) -> LocalBackend {
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(RandomIds));
    LocalBackend::open(folder, clock, ids, LocalOptions::default()).unwrap()
}

fn spawn(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process", "--nocapture"])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: what the other processes run. Does nothing when it runs as a test.
#[tokio::test]
async fn another_process() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else {
        return;
    };
    let backend = open(folder.as_ref());
    match role.as_str() {
        "count" => count(&backend).await,
        "take" => take(&backend).await,
        "rewrite" => rewrite(&backend).await,
        other => panic!("unknown role {other}"),
    }
}

async fn put(backend: &LocalBackend, key: &str, body: String, condition: Condition) -> PutOutcome {
    let metadata: Attributes = [("body".to_owned(), body.clone())].into();
    backend
        .objects
        .put(key, Bytes::from(body), condition, &metadata)
        .await
        .unwrap()
}

async fn count(backend: &LocalBackend) {
    let lines: CollectionName = "lines".parse().unwrap();
    for _ in 0..EACH {
        loop {
            let object = backend.objects.get("counter", 99).await.unwrap().unwrap();
            let text = String::from_utf8(object.body.to_vec()).unwrap();
            assert_eq!(
                object.metadata["body"], text,
                "metadata and body are of one write"
            );
            let next = (text.parse::<usize>().unwrap() + 1).to_string();
            let condition = Condition::IfMatch(object.info.etag);
            if let PutOutcome::Written(_) = put(backend, "counter", next, condition).await {
                break;
            }
        }
        backend
            .leases
            .next_fence(&Lineage::from(&lines))
            .await
            .unwrap();
    }
}

async fn take(backend: &LocalBackend) {
    let wait = Duration::from_millis(500);
    loop {
        let deliveries = backend
            .queue
            .receive(2, wait, Duration::from_secs(600))
            .await
            .unwrap();
        if deliveries.is_empty() {
            return;
        }
        for delivery in deliveries {
            // Fails if another process was handed the same message.
            let key = format!("taken/{}", delivery.body);
            let outcome = put(backend, &key, String::new(), Condition::IfAbsent).await;
            assert!(
                matches!(outcome, PutOutcome::Written(_)),
                "{key} was taken twice"
            );
            backend.queue.delete(&delivery.receipt).await.unwrap();
        }
    }
}

async fn rewrite(backend: &LocalBackend) {
    for n in 0_u64.. {
        put(backend, "rewritten", n.to_string(), Condition::Always).await;
    }
}

fn all_succeed(children: Vec<Child>) {
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn conditional_writes_and_fences_of_several_processes_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path());
    put(&backend, "counter", "0".to_owned(), Condition::IfAbsent).await;
    all_succeed(
        (0..PROCESSES)
            .map(|_| spawn("count", folder.path()))
            .collect(),
    );
    let object = backend.objects.get("counter", 99).await.unwrap().unwrap();
    assert_eq!(object.body, (PROCESSES * EACH).to_string());
    let fence = backend
        .leases
        .next_fence(&"lines".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(fence.0, (PROCESSES * EACH) as u64 + 1);
}

#[tokio::test]
async fn message_is_delivered_to_one_process_only() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path());
    for n in 0..EACH {
        backend
            .queue
            .send(&n.to_string(), &Attributes::new())
            .await
            .unwrap();
    }
    all_succeed(
        (0..PROCESSES)
            .map(|_| spawn("take", folder.path()))
            .collect(),
    );
    let taken = backend.objects.list("taken/", None).await.unwrap();
    assert_eq!(taken.entries.len(), EACH);
    assert_eq!(backend.queue.depth().await.unwrap(), Default::default());
}

#[tokio::test]
async fn new_directory_can_be_opened_by_several_processes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    all_succeed((0..PROCESSES * 2).map(|_| spawn("take", &root)).collect());
}

#[tokio::test]
async fn killed_writer_leaves_a_whole_object_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, clock) = (open(folder.path()), SystemClock::new());
    let mut seen = HashSet::new();
    for round in 0..8 {
        let mut writer = spawn("rewrite", folder.path());
        while backend.objects.head("rewritten").await.unwrap().is_none() {
            assert_eq!(writer.try_wait().unwrap(), None, "the writer ended");
            clock.sleep(Duration::from_millis(5)).await;
        }
        clock.sleep(Duration::from_millis(20 + 7 * round)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let object = backend.objects.get("rewritten", 99).await.unwrap().unwrap();
        let body = String::from_utf8(object.body.to_vec()).unwrap();
        assert_eq!(object.metadata["body"], body);
        seen.insert(object.info.etag.clone());
        // The dead process holds no lock, and its leftovers do not disturb the next writer.
        let next = put(
            &backend,
            "rewritten",
            "ours".to_owned(),
            Condition::IfMatch(object.info.etag),
        );
        assert!(matches!(next.await, PutOutcome::Written(_)));
        backend.objects.delete("rewritten").await.unwrap();
    }
    assert_eq!(seen.len(), 8, "no tag came twice");
}
