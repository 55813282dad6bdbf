//! A data directory is copied to another place, and the work goes on there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::contract;
use compactor_core::fakes::{FakeClock, SeededIds};
use compactor_core::ports::{
    Acquired, Attributes, Clock, Condition, Ids, LeaseStore, Object, ObjectStore, PutOutcome, Queue,
};
use compactor_local::{LocalBackend, LocalOptions};

const TERM: Duration = Duration::from_secs(60);
const POINTER: &str = "words/snapshot/pointer";
const PLAIN: &str = "words/plain";

fn open(folder: &Path, clock: &Arc<FakeClock>) -> LocalBackend {
    let (clock, ids) = (clock.clone(), Arc::new(SeededIds::new(1)));
    LocalBackend::open(folder, clock, ids, LocalOptions::default()).unwrap()
}

/// Copies with the options of `cp`: `-a` keeps times, `-r` loses them.
fn copy(from: &Path, to: &Path, options: &str) {
    let mut cp = Command::new("cp");
    let done = cp.arg(options).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

fn metadata(text: &str) -> Attributes {
    [("nonce".to_owned(), text.to_owned())].into()
}

async fn put(backend: &LocalBackend, key: &str, body: &'static str, text: &str) {
    let metadata = if text.is_empty() {
        Attributes::new()
    } else {
        metadata(text)
    };
    let objects = &backend.objects;
    let put = objects.put(key, body.into(), Condition::Always, &metadata);
    assert!(matches!(put.await.unwrap(), PutOutcome::Written(_)));
}

async fn get(backend: &LocalBackend, key: &str) -> Object {
    backend.objects.get(key, 99).await.unwrap().unwrap()
}

/// Objects with metadata, written over others, and one without.
async fn fill(backend: &LocalBackend) {
    put(backend, POINTER, "version 1", "one").await;
    put(backend, POINTER, "version 2", "two").await;
    put(backend, PLAIN, "plain", "").await;
}

async fn assert_all_there(backend: &LocalBackend, what: &str) {
    let pointer = get(backend, POINTER).await;
    assert_eq!(pointer.body, "version 2", "{what}");
    assert_eq!(pointer.metadata, metadata("two"), "{what}");
    assert_eq!(get(backend, PLAIN).await.metadata, Attributes::new());

    let objects = &backend.objects;
    let (from, tag) = (POINTER, &pointer.info.etag);
    let copied = objects.copy(from, tag, "copied", Condition::IfAbsent).await;
    assert!(matches!(copied.unwrap(), PutOutcome::Written(_)), "{what}");
    assert_eq!(get(backend, "copied").await.metadata, metadata("two"));

    let (condition, three) = (Condition::IfMatch(tag.clone()), metadata("three"));
    let swapped = objects.put(POINTER, "version 3".into(), condition, &three);
    let swapped = swapped.await.unwrap();
    assert!(matches!(swapped, PutOutcome::Written(_)), "{what}");
    assert_eq!(get(backend, POINTER).await.metadata, metadata("three"));
}

#[tokio::test]
async fn object_keeps_its_metadata_in_a_copy_of_the_directory() {
    let clock = Arc::new(FakeClock::auto());
    for options in ["-a", "-r"] {
        let place = tempfile::tempdir().unwrap();
        let [original, copied, again] = ["d", "e", "f"].map(|name| place.path().join(name));
        fill(&open(&original, &clock)).await;
        copy(&original, &copied, options);
        copy(&copied, &again, options);
        for folder in [original, copied, again] {
            assert_all_there(&open(&folder, &clock), options).await;
        }
    }
}

/// Renames the sidecar as earlier builds named it, by inode, size and time.
fn make_older(folder: &Path, backend_tag: &str) {
    let sidecars = folder.join(".meta").join(POINTER);
    let mut entries = std::fs::read_dir(&sidecars).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    std::fs::rename(path, sidecars.join(format!("{backend_tag}.json"))).unwrap();
    assert!(entries.next().is_none());
}

#[tokio::test]
async fn directory_of_an_earlier_build_and_its_copy_keep_metadata() {
    let clock = Arc::new(FakeClock::auto());
    let place = tempfile::tempdir().unwrap();
    let [original, copied] = ["d", "e"].map(|name| place.path().join(name));
    let backend = open(&original, &clock);
    fill(&backend).await;
    let tag = get(&backend, POINTER).await.info.etag.0;
    make_older(&original, &tag);
    copy(&original, &copied, "-a");
    for folder in [original, copied] {
        assert_all_there(&open(&folder, &clock), "of an earlier build").await;
    }
}

#[tokio::test]
async fn queue_leases_and_fences_continue_in_a_copy() {
    let clock = Arc::new(FakeClock::manual());
    let place = tempfile::tempdir().unwrap();
    let [original, copied] = ["d", "e"].map(|name| place.path().join(name));
    let (words, ids) = ("words".parse().unwrap(), SeededIds::new(2));
    let (owner, other) = (ids.uuid(), ids.uuid());
    let backend = open(&original, &clock);
    for body in ["in flight", "waiting"] {
        backend.queue.send(body, &Attributes::new()).await.unwrap();
    }
    let held = backend
        .queue
        .receive(1, Duration::ZERO, TERM)
        .await
        .unwrap();
    let acquired = backend.leases.acquire(&words, owner, TERM).await.unwrap();
    assert_eq!(acquired, Acquired::Held);
    let fence = backend.leases.next_fence(&words).await.unwrap();
    drop(backend);
    copy(&original, &copied, "-a");

    let backend = open(&copied, &clock);
    let waiting = backend
        .queue
        .receive(9, Duration::ZERO, TERM)
        .await
        .unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].body, "waiting");
    assert!(backend.leases.renew(&words, owner, TERM).await.unwrap());
    let acquired = backend.leases.acquire(&words, other, TERM).await.unwrap();
    assert_ne!(acquired, Acquired::Held);
    assert!(backend.leases.next_fence(&words).await.unwrap() > fence);
    clock.set_wall(clock.wall().plus(TERM * 2));
    let again = backend
        .queue
        .receive(9, Duration::ZERO, TERM)
        .await
        .unwrap();
    assert!(again.iter().any(|delivery| delivery.body == held[0].body));
    let acquired = backend.leases.acquire(&words, other, TERM).await.unwrap();
    assert_eq!(acquired, Acquired::Held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copy_of_a_directory_keeps_the_contracts() {
    let clock = Arc::new(FakeClock::auto());
    let place = tempfile::tempdir().unwrap();
    let [original, copied] = ["d", "e"].map(|name| place.path().join(name));
    drop(open(&original, &clock));
    copy(&original, &copied, "-a");
    let (backend, scratch) = (open(&copied, &clock), place.path().join("scratch"));
    std::fs::create_dir(&scratch).unwrap();
    contract::object_store(backend.objects.clone(), &scratch).await;
    contract::run_store(backend.runs.clone(), clock).await;
}
