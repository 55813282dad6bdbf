//! Runs that cannot be merged, beside one that can.

use chroma_store::{CloseOptions, ClosedStore, pack};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;

use crate::COMPACTOR;

const RUN: &[(&str, &str)] = &[
    ("source", "dynamodb_stream"),
    ("entity_type", "COMPACTION_RUN"),
    ("event_name", "INSERT"),
    ("collection", "words"),
];

/// A message as the stream processor sends it.
fn announcement(run: &str, prefix: &str) -> String {
    serde_json::json!({
        "source": "dynamodb_stream",
        "entity_type": "COMPACTION_RUN",
        "entity_data": {
            "run_id": run, "image_id": run, "receipt_id": 1,
            "lines_delta_prefix": prefix, "words_delta_prefix": prefix, "delta_s3_prefix": prefix,
        },
        "changes": {},
        "event_name": "INSERT",
        "timestamp": "2026-11-21T00:11:47.918955+00:00",
        "stream_record_id": "c81e728d",
        "aws_region": "us-east-1",
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_runs_fail_alone_and_record_their_errors() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment
        .place
        .expects(&["CC-MESSAGE-JSON", "CC-DELTA-MISSING", "CS-DIMENSION"]);
    directory(&deployment.place, "good", "words", 10, 2);
    let wide = directory(&deployment.place, "wide", "words", 10, 3);
    deployment.say("submit words=good --run-id good").succeeds();
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 1);

    // `submit` would refuse it.
    let wide = ClosedStore::prove(&wide, &CloseOptions::default()).unwrap();
    let archive = pack(&wide, &[], Vec::new()).unwrap();
    let prefix = "words/delta/wide/";
    deployment
        .put(&format!("{prefix}delta.tar.gz"), archive)
        .await;
    deployment.announce("wide", &[("words", prefix)]).await;
    deployment.send("no json", RUN).await;
    deployment
        .send(&announcement("missing", "words/delta/nothing-here/"), RUN)
        .await;
    directory(&deployment.place, "more", "words", 12, 2);
    deployment.say("submit words=more --run-id more").succeeds();
    deployment.say("run --drain").succeeds();

    let parts = deployment.parts();
    let part = |run: &str| {
        let found = parts.iter().find(|(id, ..)| id == run);
        found
            .map(|(_, _, state, error)| (state.as_str(), error.as_str()))
            .unwrap()
    };
    assert_eq!(part("good"), ("COMPLETED", ""));
    assert_eq!(part("more"), ("COMPLETED", ""));
    let (state, error) = part("wide");
    assert_eq!(state, "FAILED");
    assert!(error.contains("CS-DIMENSION"), "{error}");
    let (state, error) = part("missing");
    assert_eq!(state, "FAILED");
    assert!(error.contains("CC-DELTA-MISSING"), "{error}");
    assert_eq!(deployment.published("words").await.len(), 22);

    let backend = deployment.cloud.backend().await;
    assert_eq!(backend.queue.depth().await.unwrap().dead, 3);
    let mut reasons = deployment.cloud.dead_letter_reasons().await;
    reasons.sort();
    let told = |code: &str| reasons.iter().any(|reason| reason.contains(code));
    assert!(told("CC-MESSAGE"), "{reasons:?}");
    assert!(told("CS-DIMENSION"), "{reasons:?}");
}

/// The SDK panics at a key of 70,000 bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_a_too_long_prefix_fails_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-MESSAGE-PREFIX"]);
    let good: Vec<String> = (0..6).map(|number| format!("good-{number}")).collect();
    for (number, name) in good.iter().enumerate() {
        if number == 3 {
            let prefix = format!("words/delta/{}/", "x".repeat(70_000));
            deployment.send(&announcement("long", &prefix), RUN).await;
        }
        directory(&deployment.place, name, "words", 4, 2);
        let line = format!("submit words={name} --run-id {name}");
        deployment.say(&line).succeeds();
    }
    assert_eq!(deployment.drain()["completed"], good.len());
    for name in &good {
        assert_eq!(deployment.part(name, "words").0, "COMPLETED");
    }
    assert_eq!(deployment.published("words").await.len(), 4 * good.len());
    assert_eq!(deployment.depth().await.dead, 1);
    let reasons = deployment.cloud.dead_letter_reasons().await;
    assert!(reasons[0].contains("longer than 1024 bytes"), "{reasons:?}");
}
