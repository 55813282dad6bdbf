//! 13: writers that were stopped beyond their lease and go on afterwards.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use compactor_testkit::deadline::Deadline;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::ids;
use compactor_testkit::process::{ended, signal};

use super::{answers_to_pointer_puts, submit, with_base};
use crate::proxy::{Head, Proxy, Verdict};

/// A proxy that holds the first matching request: it signals its arrival and waits for the signal to
/// go on.
fn holding(is_held: fn(&Head) -> bool) -> (Proxy, Receiver<()>, Sender<()>) {
    let (reached, at_request) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let (reached, goes) = (Mutex::new(Some(reached)), Mutex::new(goes));
    let proxy = Proxy::new(move |head| {
        if is_held(head)
            && let Some(reached) = reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            // Until the other worker is done.
            goes.lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(60))
                .unwrap();
        }
        Verdict::Pass
    });
    (proxy, at_request, go)
}

fn puts_manifest(head: &Head) -> bool {
    head.line.starts_with("PUT ") && head.line.contains("manifest.json")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_worker_that_lost_its_lease_puts_no_pointer() {
    let deployment = with_base().await;
    deployment.place.expects(&["CC-LEASE-LOST"]);
    let (proxy, at_manifest, go) = holding(puts_manifest);
    submit(&deployment, "next");
    deployment.at(&proxy.endpoint);
    let zombie = deployment.spawn_drain();
    at_manifest.recv_timeout(Duration::from_secs(60)).unwrap();
    // Stopped past its lease and the message's visibility.
    signal(&zombie, "STOP");
    deployment.at(endpoint());
    assert_eq!(deployment.drain()["completed"], 1);
    let published = deployment.pointer("words").await;
    go.send(()).unwrap();
    signal(&zombie, "CONT");
    let output = ended(zombie);
    assert!(output.status.success());
    assert_eq!(deployment.pointer("words").await, published);
    let puts = proxy
        .seen()
        .into_iter()
        .filter(|line| line.contains("words/snapshot/latest-pointer.txt"));
    assert_eq!(
        puts.filter(|line| line.starts_with("PUT ")).count(),
        0,
        "the worker tried to put the pointer"
    );
    let both = ids(&[("base", 10), ("next", 5)]);
    assert_eq!(deployment.published("words").await, both);
}

/// The version whose manifest was put.
fn version_put(proxy: &Proxy) -> String {
    let seen = proxy.seen().into_iter();
    let mut versions = seen.filter_map(|line| {
        let (_, key) = line.strip_prefix("PUT ")?.split_once("/timestamped/")?;
        let (version, name) = key.split_once('/')?;
        name.starts_with("manifest.json")
            .then(|| version.to_owned())
    });
    versions.next().unwrap()
}

/// The published version and those that it was made from, newest first.
async fn lineage(deployment: &Deployment) -> Vec<String> {
    let mut versions = Vec::new();
    let mut next = deployment.pointer("words").await;
    while let Some(version) = next {
        let manifest = deployment.manifest("words", &version).await;
        next = manifest["parent"]["version"].as_str().map(str::to_owned);
        versions.push(version);
    }
    versions
}

/// The worker is stopped after it sent the put, so only the condition of the put can refuse it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_pointer_put_that_outlives_its_lease_is_refused() {
    let deployment = with_base().await;
    let (proxy, at_pointer, go) = holding(Head::puts_pointer);
    submit(&deployment, "next");
    deployment.at(&proxy.endpoint);
    let zombie = deployment.spawn_drain();
    at_pointer.recv_timeout(Duration::from_secs(60)).unwrap();
    signal(&zombie, "STOP");
    deployment.at(endpoint());
    submit(&deployment, "other");
    assert_eq!(deployment.drain()["completed"], 2);
    let published = deployment.pointer("words").await;
    // The put arrives while its sender still sleeps.
    go.send(()).unwrap();
    let deadline = Deadline::in_two_minutes();
    while answers_to_pointer_puts(&proxy).is_empty() {
        deadline.wait(&"the put is not answered");
    }
    assert_eq!(answers_to_pointer_puts(&proxy), [412]);
    assert_eq!(deployment.pointer("words").await, published);
    signal(&zombie, "CONT");
    assert!(ended(zombie).status.success());
    assert_eq!(
        answers_to_pointer_puts(&proxy),
        [412],
        "the worker repeated the refused put"
    );
    assert_eq!(deployment.pointer("words").await, published);
    for run in ["next", "other"] {
        assert_eq!(deployment.part(run, "words").0, "COMPLETED", "{run}");
    }
    let refused = version_put(&proxy);
    assert!(deployment.versions("words").await.contains(&refused));
    let lineage = lineage(&deployment).await;
    assert!(!lineage.contains(&refused), "{refused} in {lineage:?}");
    let all = ids(&[("base", 10), ("next", 5), ("other", 5)]);
    assert_eq!(deployment.published("words").await, all);
}
