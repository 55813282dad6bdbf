//! 44 to 51: messages, their acknowledgement, and what is counted.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compactor_core::ports::Depth;
use compactor_testkit::cli::Said;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deadline::Deadline;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::{directory, ids, packed};
use compactor_testkit::process::{ended, kill_pid, signal, terminate};
use serde_json::{Value, json};

use super::snapshots::assert_is_as_made;
use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// A message about another entity, as the stream processor sends it.
async fn other_entity(deployment: &Deployment, entity: &str, event: &str) {
    let body = json!({
        "source": "dynamodb_stream", "entity_type": entity,
        "entity_data": {"entity_type": entity, "image_id": "a", "receipt_id": 1},
        "changes": {}, "event_name": event, "timestamp": "2026-11-21T00:11:47.918955+00:00",
        "stream_record_id": "c81e728d", "aws_region": "us-east-1",
    });
    let attributes = [
        ("source", "dynamodb_stream"),
        ("entity_type", entity),
        ("event_name", event),
        ("collection", "words"),
    ];
    deployment.send(&body.to_string(), &attributes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b44_failed_messages_alone_are_received_again() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-DELTA-MISSING"]);
    // A delta that could not be read may be readable next time.
    let dir = directory(&deployment.place, "late", "words", 5, 2);
    deployment
        .announce("late", &[("words", "words/delta/late/")])
        .await;
    directory(&deployment.place, "good", "words", 5, 2);
    deployment.say("submit words=good --run-id good").succeeds();
    let daemon = deployment.spawn("run");
    deployment.until(|parts| {
        parts
            .iter()
            .any(|(id, _, state, error)| id == "late" && state == "PENDING" && !error.is_empty())
    });
    deployment.upload_archive(&dir, "words/delta/late/").await;
    deployment.until(|parts| parts.iter().all(|(_, _, state, _)| state == "COMPLETED"));
    terminate(daemon);
    assert_eq!(deployment.depth().await, Depth::default());
    let version = deployment.pointer("words").await.unwrap();
    let manifest = deployment.manifest("words", &version).await;
    let runs: Vec<&Value> = manifest["runs"].as_array().unwrap().iter().collect();
    assert_eq!(
        runs.len(),
        1,
        "the good one was not merged again: {manifest}"
    );
    let both = ids(&[("good", 5), ("late", 5)]);
    assert_eq!(deployment.published("words").await, both);
}

/// A removal will win over an older change of its entity once updates and deletions are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b45_removal_message_does_not_suppress_other_messages() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-MESSAGE-UNHANDLED"]);
    other_entity(&deployment, "RECEIPT_WORD", "REMOVE").await;
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a").succeeds();
    other_entity(&deployment, "RECEIPT_WORD", "REMOVE").await;
    assert_eq!(deployment.drain()["completed"], 1);
    assert_eq!(deployment.published("words").await, ids(&[("a", 5)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b46_unparsable_messages_go_to_the_dead_letter_queue() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-MESSAGE-JSON"]);
    deployment.send("no json", &[("collection", "words")]).await;
    deployment.send("{\"entity_type\":", &[]).await;
    deployment.drain();
    let reasons = deployment.cloud.dead_letter_reasons().await;
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons.iter().all(|reason| reason.contains("CC-MESSAGE")),
        "{reasons:?}"
    );
    assert_eq!(deployment.depth().await.visible, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b47_messages_of_other_entities_are_deleted_without_a_version() {
    let deployment = Deployment::new(COMPACTOR).await;
    other_entity(&deployment, "SOMETHING_NEW", "INSERT").await;
    other_entity(&deployment, "COMPACTION_RUN", "MODIFY").await;
    let summary = deployment.drain();
    assert_eq!(summary["published"], 0);
    assert_eq!(deployment.depth().await, Depth::default());
    assert!(deployment.cloud.keys().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b48_message_is_given_back_while_another_worker_holds_the_lock() {
    let deployment = Deployment::on(Cloud::new(10).await, COMPACTOR);
    deployment.place.expects(&["cannot use the queue"]);
    deployment
        .lock_words("update", Duration::from_secs(300))
        .await;
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a --run-id a").succeeds();
    // Once the gate is shut, the daemon receives nothing.
    let shut = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&shut);
    let proxy = Proxy::new(move |head| {
        let receives = head.line.contains("AmazonSQS.ReceiveMessage");
        match receives && gate.load(Ordering::SeqCst) {
            true => Verdict::Reset,
            false => Verdict::Pass,
        }
    });
    deployment.at(&proxy.endpoint);
    let daemon = deployment.spawn("run");
    deployment.until_in_flight(1).await;
    // The daemon has the message; once it gives it back, the test receives it.
    shut.store(true, Ordering::SeqCst);
    let queue = deployment.cloud.backend().await.queue;
    let (mut received, deadline) = (Vec::new(), Deadline::in_two_minutes());
    while received.is_empty() {
        deadline.wait(&"the message is not given back");
        let wait = Duration::from_secs(1);
        received = queue
            .receive(1, wait, Duration::from_secs(30))
            .await
            .unwrap();
    }
    assert!(received[0].receive_count > 1, "{received:?}");
    terminate(daemon);
    deployment.at(endpoint());
    assert_eq!(deployment.part("a", "words").0, "PENDING");
    assert!(
        deployment
            .cloud
            .keys()
            .await
            .iter()
            .all(|key| key.contains("/delta/"))
    );
}

/// Each daemon is killed at a later request than the one before, until a daemon finishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b49_daemon_killed_at_any_request_loses_nothing() {
    let deployment = Deployment::on(Cloud::new(1000).await, COMPACTOR);
    deployment.change("visibility = \"5s\"", "visibility = \"1s\"");
    deployment.change(
        "term = \"10s\"\nrenew_every = \"3s\"\nskew_margin = \"1s\"",
        "term = \"3s\"\nrenew_every = \"600ms\"\nskew_margin = \"200ms\"\nswap_budget = \"1s\"",
    );
    let mut submitted = Vec::new();
    for kill_at in (1..).step_by(5) {
        if submitted.len() < 5 {
            let name = format!("d{}", submitted.len());
            directory(&deployment.place, &name, "words", 3, 2);
            deployment.say(&format!("submit words={name}")).succeeds();
            submitted.push(name);
        }
        let is_through = killed_at(&deployment, kill_at);
        if deployment.pointer("words").await.is_some() {
            // At every moment a reader finds a whole snapshot.
            deployment.published("words").await;
        }
        if is_through {
            assert!(kill_at > 20, "killed {} times", kill_at / 5);
            break;
        }
    }
    let parts = deployment.parts();
    assert!(
        parts.iter().all(|(_, _, state, _)| state == "COMPLETED"),
        "{parts:?}"
    );
    let names: Vec<(&str, usize)> = submitted.iter().map(|name| (name.as_str(), 3)).collect();
    let records = deployment.read_by_python("words");
    let found: Vec<&String> = records.iter().map(|record| &record.id).collect();
    assert!(found.iter().copied().eq(&ids(&names)), "{found:?}");
    records.iter().for_each(assert_is_as_made);
}

/// Runs a daemon that is killed at this request to S3 or DynamoDB; says whether it ended before.
/// Receives do not count, since their number varies.
fn killed_at(deployment: &Deployment, request: usize) -> bool {
    let victim = Arc::new(Mutex::new(None::<u32>));
    let (count, target) = (AtomicUsize::new(0), Arc::clone(&victim));
    let proxy = Proxy::new(move |head| {
        let counts = !head.line.contains("AmazonSQS.ReceiveMessage")
            && !head.line.contains("AmazonSQS.GetQueue");
        if !counts || count.fetch_add(1, Ordering::SeqCst) + 1 != request {
            return Verdict::Pass;
        }
        while target.lock().unwrap().is_none() {
            std::thread::yield_now();
        }
        let pid = target.lock().unwrap().unwrap();
        kill_pid(pid, "KILL");
        Verdict::Reset
    });
    let mut command = deployment.command("run --drain");
    command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint);
    command.stdout(Stdio::null());
    let daemon = command.spawn().unwrap();
    *victim.lock().unwrap() = Some(daemon.id());
    ended(daemon).status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b50_thousand_messages_take_one_cycle_per_collection() {
    const RUNS: usize = 450;
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.change(
        "[queue]",
        "[worker]\nbatch_runs = 1000\n[queue]\nin_flight = 2000",
    );
    deployment.change("visibility = \"5s\"", "visibility = \"60s\"");
    for (collection, name) in [("words", "w"), ("lines", "l")] {
        let archive = packed(&directory(&deployment.place, name, collection, 2, 2));
        deployment
            .put(&format!("{collection}/delta/shared/delta.tar.gz"), archive)
            .await;
    }
    let prefixes = [
        ("words", "words/delta/shared/"),
        ("lines", "lines/delta/shared/"),
    ];
    for run in 0..RUNS {
        deployment
            .announce(&format!("run-{run:03}"), &prefixes)
            .await;
    }
    for _ in 0..100 {
        other_entity(&deployment, "RECEIPT_PLACE", "INSERT").await;
    }
    let summary = deployment.drain();
    assert_eq!(summary["completed"], 2 * RUNS);
    assert_eq!(summary["published"], 2, "one per collection");
    assert_eq!(deployment.depth().await, Depth::default());
}

/// The counters that were written, summed up.
fn counted(stderr: &str, name: &str) -> u64 {
    let lines = stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let documents = lines.filter(|line| line["_aws"]["CloudWatchMetrics"].is_array());
    documents
        .inspect(|document| {
            let of = &document["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(of["Namespace"], "EmbeddingWorkflow");
            assert_eq!(of["Dimensions"], json!([[]]));
        })
        .filter_map(|document| document[name].as_u64())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b51_alarm_metrics_count_provoked_failures() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-DELTA-MISSING", "CC-PORT-"]);
    let drained = |deployment: &Deployment| {
        let mut command = deployment.command("run --drain");
        Said::by(command.env("ENABLE_METRICS", "true")).stderr
    };
    deployment
        .announce("missing", &[("words", "words/delta/missing/")])
        .await;
    let stderr = drained(&deployment);
    assert!(counted(&stderr, "CompactionDeltaMergeError") >= 1);
    assert_eq!(counted(&stderr, "CompactionSnapshotUploadError"), 0);

    deployment
        .lock_words("compaction", Duration::from_secs(4))
        .await;
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a --run-id a").succeeds();
    let stderr = drained(&deployment);
    assert_eq!(counted(&stderr, "CompactionLockAcquisitionFailed"), 1);
    assert_eq!(counted(&stderr, "CompactionDeltaMergeCount"), 1);

    // A queue of the collection's own is not received from meanwhile.
    let other = Cloud::new(3).await;
    deployment.with_own_queues(&other);
    deployment
        .lock_words("compaction", Duration::from_secs(4))
        .await;
    directory(&deployment.place, "own", "words", 5, 2);
    deployment.say("submit words=own --run-id own").succeeds();
    let stderr = drained(&deployment);
    assert_eq!(counted(&stderr, "CompactionLockAcquisitionFailed"), 1);
    let said = stderr
        .lines()
        .filter(|line| line.contains("another worker holds the lock"));
    let said: Vec<&str> = said.collect();
    assert_eq!(said.len(), 1, "{stderr}");
    let parts = ["collection=words", "owner=", "expires=\"20"];
    assert!(parts.iter().all(|part| said[0].contains(part)), "{said:?}");
    assert_eq!(deployment.part("own", "words").0, "COMPLETED");

    let proxy = Proxy::new(|head| {
        let of_version = head.line.contains("/timestamped/") && head.line.starts_with("PUT ");
        match of_version {
            true => Verdict::Refuse(503, "SlowDown"),
            false => Verdict::Pass,
        }
    });
    directory(&deployment.place, "b", "words", 5, 2);
    deployment.say("submit words=b --run-id b").succeeds();
    let mut command = deployment.command("run");
    command
        .env("ENABLE_METRICS", "true")
        .env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint)
        .env("CHROMA_COMPACTOR_METRICS__EVERY", "1s")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let daemon = command.spawn().unwrap();
    deployment.until(|parts| {
        parts
            .iter()
            .any(|(id, _, state, error)| id == "b" && state == "PENDING" && !error.is_empty())
    });
    signal(&daemon, "TERM");
    let said = Said::from(&command, ended(daemon));
    assert!(counted(&said.stderr, "CompactionSnapshotUploadError") >= 1);
    assert_eq!(deployment.part("b", "words").0, "PENDING", "not its fault");
}
