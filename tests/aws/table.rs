//! From the table to the queue, and deltas in other buckets.

use compactor_core::ports::{Attributes, Condition, ObjectStore, RunStore, WallTime};
use compactor_core::{RunKey, RunRecord};
use compactor_testkit::cli::USAGE;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;

use crate::COMPACTOR;

/// Uploads a delta and makes its record, but announces nothing: a stream or `runs reconcile` does.
async fn insert(deployment: &Deployment, run: &str, prefixes: &[(&str, &str)]) {
    let backend = deployment.cloud.backend().await;
    for (collection, prefix) in prefixes {
        let name = format!("{run}-{collection}");
        let dir = directory(&deployment.place, &name, collection, 5, 2);
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_str().unwrap();
                let key = format!("{prefix}{name}");
                let sent = backend
                    .objects
                    .upload(&key, &path, Condition::Always, &Attributes::new())
                    .await;
                sent.unwrap();
            }
        }
    }
    let deltas = prefixes
        .iter()
        .map(|(name, prefix)| (name.parse().unwrap(), (*prefix).to_owned()));
    let at = WallTime::parse_iso("2026-11-20T00:00:00+00:00").unwrap();
    let key = RunKey::plain(run.parse().unwrap());
    let record = RunRecord::new(key, deltas, at);
    backend.runs.create(&record).await.unwrap();
}

const BOTH: [(&str, &str); 2] = [("lines", "lines/delta/r1/"), ("words", "words/delta/r1/")];

fn states(deployment: &Deployment) -> Vec<String> {
    let parts = deployment.parts().into_iter();
    parts.map(|(_, _, state, _)| state).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_record_announces_every_collection_of_its_run() {
    let deployment = Deployment::new(COMPACTOR).await;
    insert(&deployment, "r1", &BOTH).await;
    let body = serde_json::json!({
        "eventID": "c81e728d", "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": { "NewImage": {
            "TYPE": {"S": "COMPACTION_RUN"}, "run_id": {"S": "r1"}, "image_id": {"S": "r1"},
            "receipt_id": {"N": "1"},
            "lines_delta_prefix": {"S": BOTH[0].1}, "words_delta_prefix": {"S": BOTH[1].1},
        }},
    });
    // A pipe sends no attributes.
    deployment.send(&body.to_string(), &[]).await;
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 2);
    assert_eq!(states(&deployment), ["COMPLETED"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_runs_are_announced_again_by_reconcile() {
    let deployment = Deployment::new(COMPACTOR).await;
    insert(&deployment, "r1", &BOTH).await;
    let said = deployment.say("runs reconcile --dry-run").succeeds();
    assert_eq!(said.stdout, "would announce r1: lines, words\n");
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 0);
    let said = deployment
        .say("runs reconcile --older-than 1000d")
        .succeeds();
    assert_eq!(said.stdout, "nothing to announce\n");
    let said = deployment.say("runs reconcile").succeeds();
    assert_eq!(said.stdout, "announced r1: lines, words\n");
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 2);
    let said = deployment.say("runs reconcile").succeeds();
    assert_eq!(said.stdout, "nothing to announce\n");

    // The second time, the run is found in the lineage.
    deployment
        .say("runs retry r1 --collection words")
        .succeeds();
    let summary = deployment.say("run --drain --json").json();
    assert_eq!(
        (&summary["completed"], &summary["published"]),
        (&1.into(), &0.into())
    );
    deployment
        .say("runs retry no-such-run")
        .fails(USAGE, "CC-USAGE")
        .naming(&["no-such-run"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_in_a_listed_bucket_is_merged() {
    let deployment = Deployment::new(COMPACTOR).await;
    let other = Deployment::new(COMPACTOR).await;
    let theirs = &other.cloud.options.bucket;
    let own = format!("bucket = \"{}\"\n", deployment.cloud.options.bucket);
    deployment.change(&own, &format!("{own}delta_buckets = [\"{theirs}\"]\n"));
    deployment.change(
        "[queue]\n",
        "[deltas]\nprefixes = [\"drop/{c}/\"]\n[queue]\n",
    );
    insert(&other, "r1", &[("words", "drop/words/r1/")]).await;
    let backend = deployment.cloud.backend().await;
    let prefix = format!("s3://{}/drop/words/r1", other.cloud.options.bucket);
    let key = RunKey::plain("r1".parse().unwrap());
    let at = deployment.cloud.clock.wall();
    let deltas = [("words".parse().unwrap(), prefix)];
    backend
        .runs
        .create(&RunRecord::new(key, deltas, at))
        .await
        .unwrap();
    deployment.say("runs retry r1").succeeds();
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 1);
    assert_eq!(deployment.published("words").await.len(), 5);
}
