//! The binary on S3, SQS and DynamoDB.

use compactor_core::ports::Depth;
use compactor_testkit::cli::{CONFIGURATION, FAILURE, Said, Workdir};
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;
use compactor_testkit::process::{ended, terminate};

use crate::COMPACTOR;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitted_run_is_merged_and_published() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "delta", "words", 10, 2);
    deployment
        .say("submit words=delta --run-id first")
        .succeeds();
    let summary = deployment.say("run --drain --json").json();
    assert_eq!(
        (&summary["completed"], &summary["published"]),
        (&1.into(), &1.into())
    );
    let parts = deployment.parts();
    let [(run, collection, state, error)] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert_eq!(
        [run.as_str(), collection, state, error],
        ["first", "words", "COMPLETED", ""]
    );
    let expected: Vec<String> = (0..10).map(|n| format!("delta-{n}")).collect();
    assert_eq!(deployment.published("words").await, expected);
    let depth = deployment
        .cloud
        .backend()
        .await
        .queue
        .depth()
        .await
        .unwrap();
    assert_eq!(depth, Depth::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_complete_every_run_once() {
    const RUNS: usize = 12;
    let deployment = Deployment::new(COMPACTOR).await;
    for number in 0..RUNS {
        let (words, lines) = (format!("w{number:02}"), format!("l{number:02}"));
        directory(&deployment.place, &words, "words", 5, 2);
        directory(&deployment.place, &lines, "lines", 3, 4);
        let line = format!("submit words={words} lines={lines} --run-id run-{number:02}");
        deployment.say(&line).succeeds();
    }
    let daemons = [0, 1, 2].map(|_| deployment.spawn_drain());
    for daemon in daemons {
        assert!(ended(daemon).status.success());
    }
    let parts = deployment.parts();
    assert_eq!(parts.len(), 2 * RUNS);
    assert!(
        parts.iter().all(|(_, _, state, _)| state == "COMPLETED"),
        "{parts:?}"
    );
    for (letter, collection, records) in [('w', "words", 5), ('l', "lines", 3)] {
        let numbers = (0..RUNS).flat_map(|run| (0..records).map(move |n| (run, n)));
        let mut expected: Vec<_> = numbers
            .map(|(run, n)| format!("{letter}{run:02}-{n}"))
            .collect();
        expected.sort();
        assert_eq!(deployment.published(collection).await, expected);
    }
}

#[test]
fn settings_without_a_bucket_are_refused_with_the_missing_key() {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", "[storage]\nbackend = \"aws\"\n");
    let said = place.say("config check --config c.toml");
    said.fails(CONFIGURATION, "CC-CONFIG")
        .naming(&["aws.bucket", "aws.example.toml"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_queue_is_named_as_a_configuration_error() {
    let deployment = Deployment::new(COMPACTOR).await;
    let settings = std::fs::read_to_string(deployment.place.path("aws.toml")).unwrap();
    let url = &deployment.cloud.options.queue_url;
    deployment.place.write(
        "aws.toml",
        &settings.replace(url, &format!("{url}-no-such")),
    );
    let said = deployment.say("run --drain");
    said.fails(CONFIGURATION, "CC-PORT-MISSING")
        .naming(&["no-such"]);
}

/// A command that finds no credentials: neither in the environment nor in a profile.
pub(crate) fn without_credentials(deployment: &Deployment, line: &str) -> std::process::Command {
    let words = line.split_whitespace().chain(["--config", "aws.toml"]);
    let mut command = deployment.place.command(words);
    let nowhere = deployment.place.path("nowhere");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", &nowhere)
        .env("AWS_SHARED_CREDENTIALS_FILE", &nowhere);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemon_without_credentials_fails_and_says_so() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["config file overridden"]);
    let mut command = without_credentials(&deployment, "run --drain");
    let said = Said::by(&mut command);
    said.fails(FAILURE, "CC-AWS-CREDENTIALS")
        .naming(&["credentials"]);
}

/// All messages are of one group, so SQS delivers them one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifo_queue_loses_no_message() {
    let deployment = Deployment::on(Cloud::with_fifo(3).await, COMPACTOR);
    deployment.place.expects(&["CC-MESSAGE-JSON"]);
    for number in 0..5 {
        let name = format!("w{number}");
        directory(&deployment.place, &name, "words", 3, 2);
        deployment.say(&format!("submit words={name}")).succeeds();
    }
    deployment.send("no json", &[("collection", "words")]).await;
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 5);
    assert_eq!(deployment.published("words").await.len(), 15);
    let depth = deployment.cloud.backend().await.queue.depth().await;
    let expected = Depth {
        dead: 1,
        ..Depth::default()
    };
    assert_eq!(depth.unwrap(), expected);
}

/// While another worker holds the lock, a received message could only be given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_of_a_locked_collection_is_not_received_from() {
    let deployment = Deployment::new(COMPACTOR).await;
    let other = Cloud::new(3).await;
    deployment.with_own_queues(&other);
    let long = std::time::Duration::from_secs(600);
    deployment.lock_words("update", long).await;
    directory(&deployment.place, "w", "words", 3, 2);
    directory(&deployment.place, "l", "lines", 2, 4);
    deployment
        .say("submit words=w lines=l --run-id r")
        .succeeds();
    let daemon = deployment.spawn("run");
    deployment.until(|parts| parts.iter().any(|(_, _, state, _)| state == "COMPLETED"));
    // Longer than a receive waits.
    let later = deployment
        .cloud
        .clock
        .wall()
        .plus(std::time::Duration::from_secs(4));
    while deployment.cloud.clock.wall() < later {
        assert_eq!(deployment.part("r", "words").0, "PENDING");
    }
    terminate(daemon);
    let queue = deployment.cloud.backend().await.queue;
    let second = std::time::Duration::from_secs(1);
    let received = queue.receive(1, second, second).await.unwrap();
    assert_eq!(received[0].receive_count, 1, "no worker received it before");
    // This lock has expired at once.
    deployment
        .lock_words("update", std::time::Duration::ZERO)
        .await;
    assert_eq!(deployment.drain()["completed"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_of_a_collection_accepts_messages_of_that_collection_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment
        .place
        .expects(&["CC-COLLECTION-UNKNOWN", "CC-COLLECTION-QUEUE"]);
    let other = Cloud::new(3).await;
    deployment.with_own_queues(&other);
    for number in 0..3 {
        let (w, l) = (format!("w{number}"), format!("l{number}"));
        directory(&deployment.place, &w, "words", 3, 2);
        directory(&deployment.place, &l, "lines", 2, 4);
        deployment
            .say(&format!("submit words={w} lines={l}"))
            .succeeds();
    }
    let waiting = deployment
        .cloud
        .backend()
        .await
        .queue
        .depth()
        .await
        .unwrap();
    assert_eq!(waiting.visible, 3, "the other three are in the other queue");
    // Two runs for a collection without a queue: one as a message, one as a stream record.
    let body = serde_json::json!({
        "entity_type": "COMPACTION_RUN",
        "entity_data": {"run_id": "p", "pages_delta_prefix": "pages/delta/p/"},
    });
    let text = |value: &str| serde_json::json!({"S": value});
    let image = serde_json::json!({
        "TYPE": text("COMPACTION_RUN"), "run_id": text("q"),
        "pages_delta_prefix": text("pages/delta/q/"),
    });
    let record = serde_json::json!({"eventName": "INSERT", "dynamodb": {"NewImage": image}});
    let pages = [("collection", "pages")];
    // Both go into the queue of `words`.
    deployment.send(&body.to_string(), &pages).await;
    deployment.send(&record.to_string(), &[]).await;
    // A sender to the queue of `words` may not change `lines`, however the message is wrapped.
    let lines = serde_json::json!({
        "entity_type": "COMPACTION_RUN",
        "entity_data": {"run_id": "l", "lines_delta_prefix": "lines/delta/l/"},
    });
    let notified = serde_json::json!({
        "Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:runs",
        "Message": lines.to_string(),
        "MessageAttributes": {"collection": {"Type": "String", "Value": "lines"}},
    });
    let attribute = [("collection", "lines")];
    deployment.send(&lines.to_string(), &attribute).await;
    deployment
        .send(&notified.to_string(), &[("collection", "words")])
        .await;

    directory(&deployment.place, "none", "pages", 3, 2);
    let said = deployment.say("submit pages=none");
    said.exits(CONFIGURATION).naming(&["aws.queues", "pages"]);
    assert_eq!(deployment.say("run --drain --json").json()["completed"], 6);
    assert_eq!(deployment.published("words").await.len(), 9);
    assert_eq!(deployment.published("lines").await.len(), 6);
    // The stream record announces nothing: `pages` has no queue.
    assert_eq!(deployment.depth().await.dead, 3);
    let (state, error) = deployment.part("p", "pages");
    assert_eq!(state, "FAILED");
    assert!(error.starts_with("CC-COLLECTION-UNKNOWN: "), "{error}");
    let parts = deployment.parts();
    assert!(parts.iter().all(|(run, ..)| run != "l"), "{parts:?}");
}
