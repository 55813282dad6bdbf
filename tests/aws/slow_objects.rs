//! Objects that arrive at 20 bytes a second: never silent, and never finished.

use std::sync::Mutex;
use std::time::Duration;

use compactor_aws::{AwsBackend, AwsOptions};
use compactor_core::ports::{Attributes, Condition, Fault, ObjectStore};
use compactor_testkit::cloud::{Cloud, config, connect};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::{directory, ids};

use crate::COMPACTOR;
use crate::proxy::{Head, Proxy, Verdict};

/// Whether the request reads an object whose key contains `part`.
fn reads(head: &Head, part: &str) -> bool {
    head.line.starts_with("GET ") && head.line.contains(part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemon_requests_stalled_objects_again_and_logs_it() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment
        .place
        .expects(&["asking for it on a new connection"]);
    deployment.change("[aws]\n", "[aws]\nstall = \"1s\"\n");
    for name in ["a", "b"] {
        directory(&deployment.place, name, "words", 4, 3);
        let line = format!("submit words={name} --run-id {name}");
        deployment.say(&line).succeeds();
        if name == "a" {
            deployment.drain();
        }
    }
    let stuck = [
        "/latest-pointer.txt",
        "/manifest.json",
        "/chroma.sqlite3",
        "/delta.tar.gz",
    ];
    let left = Mutex::new(stuck.to_vec());
    let proxy = Proxy::new(move |head| {
        let mut left = left.lock().unwrap();
        match left.iter().position(|part| reads(head, part)) {
            Some(at) => {
                left.remove(at);
                Verdict::Trickle
            }
            None => Verdict::Pass,
        }
    });
    deployment.at(&proxy.endpoint);
    assert_eq!(deployment.drain()["completed"], 1);
    let log = std::fs::read_to_string(deployment.place.path("../said.log")).unwrap();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("new connection"))
        .collect();
    for part in stuck {
        assert!(
            told.iter().any(|line| line.contains(part)),
            "{part}: {told:#?}"
        );
    }
    assert_eq!(
        deployment.published("words").await,
        ids(&[("a", 4), ("b", 4)])
    );
}

async fn put(cloud: &Cloud, key: &str, body: Vec<u8>) {
    let (objects, metadata) = (cloud.backend().await.objects, Attributes::new());
    let put = objects.put(key, body.into(), Condition::Always, &metadata);
    put.await.unwrap();
}

/// The adapters, with `proxy` between them and the services.
async fn behind(proxy: &Proxy, cloud: &Cloud) -> AwsBackend {
    let options = AwsOptions {
        stall: Duration::from_secs(1),
        ..cloud.options.clone()
    };
    connect(&config(&proxy.endpoint), options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_part_of_a_download_alone_is_requested_again() {
    let cloud = Cloud::new(3).await;
    let body = vec![7; 20 << 20];
    put(&cloud, "large", body.clone()).await;
    let is_first = Mutex::new(true);
    let proxy = Proxy::new(move |head| {
        let is_stuck = reads(head, "/large") && std::mem::take(&mut *is_first.lock().unwrap());
        if is_stuck {
            Verdict::Trickle
        } else {
            Verdict::Pass
        }
    });
    let (folder, objects) = (
        tempfile::tempdir().unwrap(),
        behind(&proxy, &cloud).await.objects,
    );
    let to = folder.path().join("large");
    objects
        .download("large", &to, u64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert!(std::fs::read(to).unwrap() == body);
    let asked = proxy.seen();
    let asked = asked.iter().filter(|line| line.starts_with("GET ")).count();
    // Three parts and one repetition. On a busy machine the other parts may be slow too.
    assert!((4..=6).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_that_stalls_on_every_connection_is_a_transient_error() {
    let cloud = Cloud::new(3).await;
    put(&cloud, "small", vec![7; 1 << 10]).await;
    let proxy = Proxy::new(|head| match reads(head, "/small") {
        true => Verdict::Trickle,
        false => Verdict::Pass,
    });
    let objects = behind(&proxy, &cloud).await.objects;
    let folder = tempfile::tempdir().unwrap();
    let outcomes = [
        objects.get("small", 1 << 20).await.map(drop),
        objects.get_range("small", 0..1 << 10).await.map(drop),
        objects
            .download("small", &folder.path().join("small"), 1 << 20)
            .await
            .map(drop),
    ];
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.fault, Fault::Transient, "{error}");
        assert!(
            error.to_string().contains("bytes came within 1s"),
            "{error}"
        );
    }
    let asked = proxy.seen();
    let asked = asked.iter().filter(|line| line.starts_with("GET ")).count();
    assert_eq!(asked, 3 * 2, "two connections each");
}
