//! 14 to 22: lock items and run records, shared with Python writers.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use compactor_core::CollectionName;
use compactor_core::fakes::FakeClock;
use compactor_core::ports::{Acquired, Clock, Completion, Ids, LeaseStore, RunStore};
use compactor_core::{Fence, RunKey};
use compactor_local::RandomIds;
use compactor_testkit::cloud::{Cloud, Item};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::{directory, packed};
use compactor_testkit::process::{ended, terminate};
use uuid::Uuid;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

const LOCKS: [&str; 2] = ["chroma-words-compaction", "chroma-words-update"];
const TERM: Duration = Duration::from_secs(60);
const RUN: &str = "3f0c9d52-6a5e-4a52-9d6b-000000000001";

fn words() -> CollectionName {
    "words".parse().unwrap()
}

/// A Python writer takes one of the locks of `words`, until `expires`.
async fn locked_by_python(deployment: &Deployment, lock: &str, expires: &str) {
    let key = format!("LOCK#words#{lock}");
    let sort = format!("EXPIRES#{expires}");
    let item = [
        ("PK", key.as_str()),
        ("SK", "LOCK"),
        ("GSI1PK", "LOCK#words"),
        ("GSI1SK", &sort),
        ("TYPE", "COMPACTION_LOCK"),
        ("owner", "11111111-1111-4111-8111-111111111111"),
        ("expires", expires),
        ("collection", "words"),
    ];
    deployment.cloud.put_item(&item).await;
}

fn from_now(deployment: &Deployment, after: Duration) -> String {
    deployment.cloud.clock.wall().plus(after).to_iso()
}

async fn owner_of(deployment: &Deployment, lock: &str) -> Option<String> {
    let item = deployment
        .cloud
        .item(&format!("LOCK#words#{lock}"), "LOCK")
        .await?;
    item["owner"].as_s().ok().cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_live_lock_is_respected_and_expired_lock_is_taken_over() {
    let deployment = Deployment::new(COMPACTOR).await;
    let expires = from_now(&deployment, Duration::from_secs(6));
    locked_by_python(&deployment, LOCKS[0], &expires).await;
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a --run-id a").succeeds();
    let daemon = deployment.spawn_drain();
    let mut early = Vec::new();
    while from_now(&deployment, Duration::from_secs(1)) < expires {
        early.push(deployment.part("a", "words").0);
    }
    assert!(
        !early.is_empty() && early.iter().all(|state| state == "PENDING"),
        "{early:?}"
    );
    assert!(ended(daemon).status.success());
    assert_eq!(deployment.part("a", "words").0, "COMPLETED");
    assert!(from_now(&deployment, Duration::ZERO) > expires);
    assert_eq!(owner_of(&deployment, LOCKS[0]).await, None, "given back");
}

/// The clock of its machine was more than a year ahead when the holder died. A living holder renews.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_lock_of_a_dead_holder_is_taken_over_despite_its_far_expiry() {
    let cloud = Cloud::new(3).await;
    let (dead, clock) = (FakeClock::manual(), Arc::new(FakeClock::manual()));
    dead.set_wall(clock.wall().plus(Duration::from_secs(400 * 24 * 3600)));
    let dead = cloud.backend_by(Arc::new(dead)).await.leases;
    let waiting = cloud.backend_by(clock.clone()).await.leases;
    let (its, ours) = (RandomIds.uuid(), RandomIds.uuid());
    let asks = async || waiting.acquire(&words().into(), ours, TERM).await.unwrap();
    assert_eq!(
        dead.acquire(&words().into(), its, TERM).await.unwrap(),
        Acquired::Held
    );
    assert!(matches!(asks().await, Acquired::Busy(_)));
    clock.advance(Duration::from_secs(29 * 60));
    assert!(matches!(asks().await, Acquired::Busy(_)));
    dead.renew(&words().into(), its, TERM * 2).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(matches!(asks().await, Acquired::Busy(_)), "it lives");
    let holder = async || waiting.holder(&words().into()).await.unwrap();
    assert_eq!(holder().await.unwrap().owner, its.to_string());
    clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(holder().await, None);
    assert_eq!(asks().await, Acquired::Held);
    assert!(!dead.renew(&words().into(), its, TERM).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_either_lock_of_a_collection_blocks_that_collection_alone() {
    for lock in LOCKS {
        let deployment = Deployment::new(COMPACTOR).await;
        locked_by_python(&deployment, lock, &from_now(&deployment, TERM)).await;
        directory(&deployment.place, "w", "words", 5, 2);
        directory(&deployment.place, "l", "lines", 5, 2);
        deployment
            .say("submit words=w lines=l --run-id r")
            .succeeds();
        let daemon = deployment.spawn("run");
        deployment.until(|parts| parts.iter().any(|(_, _, state, _)| state == "COMPLETED"));
        assert_eq!(deployment.part("r", "lines").0, "COMPLETED");
        assert_eq!(deployment.part("r", "words").0, "PENDING", "{lock}");
        terminate(daemon);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b16_lock_is_released_by_its_owner_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    let leases = deployment.cloud.backend().await.leases;
    let (owner, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let acquired = leases.acquire(&words().into(), owner, TERM).await.unwrap();
    assert_eq!(acquired, Acquired::Held);
    assert!(!leases.release(&words().into(), other).await.unwrap());
    for lock in LOCKS {
        assert_eq!(owner_of(&deployment, lock).await, Some(owner.to_string()));
    }
    assert!(leases.release(&words().into(), owner).await.unwrap());
    assert!(!leases.release(&words().into(), owner).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b17_late_heartbeat_does_not_overwrite_another_owners_lock() {
    let deployment = Deployment::new(COMPACTOR).await;
    let leases = deployment.cloud.backend().await.leases;
    let owner = Uuid::from_u128(1);
    leases.acquire(&words().into(), owner, TERM).await.unwrap();
    for lock in LOCKS {
        locked_by_python(&deployment, lock, &from_now(&deployment, TERM)).await;
    }
    let before = deployment
        .cloud
        .item("LOCK#words#chroma-words-update", "LOCK")
        .await;
    assert!(!leases.renew(&words().into(), owner, TERM).await.unwrap());
    assert!(!leases.release(&words().into(), owner).await.unwrap());
    let after = deployment
        .cloud
        .item("LOCK#words#chroma-words-update", "LOCK")
        .await;
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b18_python_parses_lock_items_and_run_records() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CS-DIMENSION"]);
    directory(&deployment.place, "a", "words", 5, 2);
    directory(&deployment.place, "b", "lines", 5, 2);
    let line = format!("submit words=a lines=b --run-id {RUN}");
    deployment.say(&line).succeeds();
    let found = deployment.entities();
    assert_eq!(found["errors"].as_array().unwrap().len(), 0, "{found}");
    assert_eq!(found["runs"].as_array().unwrap().len(), 1, "{found}");
    // A lock as it is while a cycle runs, renewed once.
    let leases = deployment.cloud.backend().await.leases;
    let owner = RandomIds.uuid();
    leases.acquire(&words().into(), owner, TERM).await.unwrap();
    assert!(leases.renew(&words().into(), owner, TERM).await.unwrap());
    let found = deployment.entities();
    assert_eq!(found["errors"].as_array().unwrap().len(), 0, "{found}");
    assert_eq!(found["locks"].as_array().unwrap().len(), 2, "{found}");
    leases.release(&words().into(), owner).await.unwrap();
    deployment.drain();
    let wide = directory(&deployment.place, "wide", "words", 5, 3);
    let narrow = directory(&deployment.place, "c", "lines", 5, 2);
    let second = "3f0c9d52-6a5e-4a52-9d6b-000000000002";
    // `submit` would refuse the first one.
    let deltas = [
        ("words", "words/delta/second/"),
        ("lines", "lines/delta/second/"),
    ];
    for ((_, prefix), dir) in deltas.iter().zip([wide, narrow]) {
        let archive = format!("{prefix}delta.tar.gz");
        deployment.put(&archive, packed(&dir)).await;
    }
    deployment.announce(second, &deltas).await;
    deployment.drain();
    let found = deployment.entities();
    assert_eq!(found["errors"].as_array().unwrap().len(), 0, "{found}");
    let runs = found["runs"].as_array().unwrap();
    let states = |name: &str| {
        runs.iter()
            .filter(move |run| run["words_state"] == name)
            .count()
    };
    assert_eq!((states("COMPLETED"), states("FAILED")), (1, 1), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b19_completing_a_collection_leaves_the_other_collection_unchanged() {
    let deployment = Deployment::new(COMPACTOR).await;
    let prefixes = [("lines", "lines/delta/r/"), ("words", "words/delta/r/")];
    deployment.announce("r", &prefixes).await;
    let runs = deployment.cloud.backend().await.runs;
    let key = RunKey::plain("r".parse().unwrap());
    let completion = |merged| Completion {
        merged_vectors: merged,
        ignored_operations: 0,
        version: "20261121_000212_517191_74bfc63c".parse().unwrap(),
        fence: Fence(1),
        at: deployment.cloud.clock.wall(),
    };
    let (lines, words) = ("lines".parse().unwrap(), words());
    let fields_of_words = |item: Item| {
        let mut fields: Vec<(String, AttributeValue)> = item
            .into_iter()
            .filter(|(name, _)| name.starts_with("words_"))
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields
    };
    let item = || {
        deployment
            .cloud
            .item("IMAGE#r", "RECEIPT#00001#COMPACTION_RUN#r")
    };
    let before = fields_of_words(item().await.unwrap());
    runs.complete(&key, &lines, &completion(3)).await.unwrap();
    assert_eq!(fields_of_words(item().await.unwrap()), before);

    deployment.announce("q", &prefixes).await;
    let key = RunKey::plain("q".parse().unwrap());
    let (of_lines, of_words) = (completion(3), completion(4));
    let both = tokio::join!(
        runs.complete(&key, &lines, &of_lines),
        runs.complete(&key, &words, &of_words)
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    let record = runs.get(&key).await.unwrap().unwrap();
    let merged = |name| record.parts[name].merged_vectors;
    assert_eq!((merged(&lines), merged(&words)), (3, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b20_completed_run_records_its_vectors_and_times() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "a", "words", 7, 2);
    deployment.say("submit words=a --run-id a").succeeds();
    let before = from_now(&deployment, Duration::ZERO);
    deployment.drain();
    let item = deployment
        .cloud
        .item("IMAGE#a", "RECEIPT#00001#COMPACTION_RUN#a")
        .await
        .unwrap();
    assert_eq!(item["words_merged_vectors"].as_n().unwrap(), "7");
    let finished = item["words_finished_at"].as_s().unwrap();
    assert!(*finished > before && *finished < from_now(&deployment, Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b21_permanently_broken_delta_fails_and_its_message_is_buried() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CS-ARCHIVE-DAMAGED"]);
    deployment
        .put("words/delta/r/delta.tar.gz", "no archive")
        .await;
    deployment
        .announce("r", &[("words", "words/delta/r/")])
        .await;
    deployment.drain();
    let (state, error) = deployment.part("r", "words");
    assert_eq!(state, "FAILED");
    assert!(error.contains("CS-ARCHIVE"), "{error}");
    let reasons = deployment.cloud.dead_letter_reasons().await;
    assert!(
        matches!(reasons.as_slice(), [reason] if *reason == error),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b22_run_is_completed_only_after_the_pointer_moves() {
    let deployment = Deployment::new(COMPACTOR).await;
    let (reached, at_pointer) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let (reached, goes) = (Mutex::new(reached), Mutex::new(goes));
    let proxy = Proxy::new(move |head| {
        if head.puts_pointer() {
            reached.lock().unwrap().send(()).unwrap();
            goes.lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(60))
                .unwrap();
        }
        Verdict::Pass
    });
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a --run-id a").succeeds();
    deployment.at(&proxy.endpoint);
    let daemon = deployment.spawn_drain();
    at_pointer.recv_timeout(Duration::from_secs(60)).unwrap();
    deployment.at(endpoint());
    assert_eq!(deployment.part("a", "words").0, "PROCESSING");
    go.send(()).unwrap();
    assert!(ended(daemon).status.success());
    assert_eq!(deployment.part("a", "words").0, "COMPLETED");
    let version = deployment.pointer("words").await.unwrap();
    let manifest = deployment.manifest("words", &version).await;
    assert_eq!(manifest["applied_runs"], serde_json::json!(["a"]));
}
