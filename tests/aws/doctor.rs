//! `doctor` on AWS: what works, what is missing, what to do.

use std::time::Duration;

use compactor_testkit::cli::{FAILURE, Said};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;
use serde_json::Value;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// Verdict and findings by check.
fn verdict<'f>(findings: &'f Value, check: &str) -> (&'f str, &'f str) {
    let findings = findings.as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check} is missing: {findings:?}"));
    (
        found["verdict"].as_str().unwrap(),
        found["found"].as_str().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_warns_of_the_pointer_policy_alone_when_all_else_is_sound() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-MESSAGE-JSON"]);
    // A daemon needs nothing of the disk but its working space.
    let mut doctor = deployment.command("doctor --json");
    let findings = Said::by(doctor.env("TMPDIR", "/no/such/folder")).json();
    for check in [
        "working space",
        "objects",
        "large objects",
        "queue",
        "locks",
        "run records",
        "snapshots",
        "waiting runs",
        "unpublished versions",
        "held locks",
    ] {
        let (verdict, found) = verdict(&findings, check);
        assert_eq!(verdict, "ok", "{check}: {found}");
    }
    // No emulator enforces bucket policies.
    let (policy, found) = verdict(&findings, "pointer policy");
    assert_eq!(policy, "warning", "{found}");
    let left = deployment.cloud.keys().await;
    assert!(left.is_empty(), "probes are left: {left:?}");

    deployment.send("no json", &[]).await;
    deployment.say("run --drain").succeeds();
    let findings = deployment.say("doctor --json").json();
    let (dead, found) = verdict(&findings, "queue");
    assert_eq!(dead, "warning", "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_the_missing_bucket_table_queue_or_endpoint() {
    let deployment = Deployment::new(COMPACTOR).await;
    let settings = std::fs::read_to_string(deployment.place.path("aws.toml")).unwrap();
    let change = |from: &str, to: &str| {
        assert!(settings.contains(from), "{from}");
        deployment
            .place
            .write("aws.toml", &settings.replace(from, to));
        let said = deployment.say("doctor --json").exits(FAILURE);
        serde_json::from_str::<Value>(&said.stdout).unwrap()
    };
    let name = &deployment.cloud.options.bucket;
    let findings = change(
        &format!("bucket = \"{name}\""),
        "bucket = \"no-such-bucket\"",
    );
    let (objects, found) = verdict(&findings, "objects");
    assert_eq!(objects, "bad", "{found}");
    assert!(found.contains("s3://no-such-bucket/"), "{found}");
    assert!(found.contains("NoSuchBucket"), "{found}");
    assert_eq!(verdict(&findings, "locks").0, "ok");
    let bad = findings.as_array().unwrap().iter();
    let bad = bad.filter(|finding| finding["verdict"] != "ok").count();
    assert_eq!(
        bad, 1,
        "the fault is not reported exactly once: {findings:?}"
    );

    let findings = change(&format!("table = \"{name}\""), "table = \"no-such-table\"");
    for check in ["locks", "run records"] {
        let (bad, found) = verdict(&findings, check);
        assert_eq!(bad, "bad", "{check}: {found}");
        assert!(found.contains("no-such-table"), "{check}: {found}");
    }
    assert_eq!(verdict(&findings, "objects").0, "ok");

    let url = &deployment.cloud.options.queue_url;
    let findings = change(url, &format!("{url}-no-such"));
    let (queue, found) = verdict(&findings, "queue");
    assert_eq!(queue, "bad");
    assert!(found.contains("no-such"), "{found}");
    for check in ["objects", "locks", "run records"] {
        assert_eq!(verdict(&findings, check).0, "ok", "{check}");
    }

    let endpoint = deployment.cloud.options.endpoint.clone().unwrap();
    let findings = change(&endpoint, "http://127.0.0.1:9");
    for check in ["objects", "queue", "locks", "run records"] {
        assert_eq!(verdict(&findings, check).0, "bad", "{check}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_accepts_a_pointer_protected_by_policy() {
    let deployment = Deployment::new(COMPACTOR).await;
    let policy = crate::legacy_writer::policy();
    deployment.at(&policy.endpoint);
    let findings = deployment.say("doctor --json").json();
    let (policy, found) = verdict(&findings, "pointer policy");
    assert_eq!(policy, "ok", "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_a_missing_queue_right() {
    let deployment = Deployment::new(COMPACTOR).await;
    let proxy = Proxy::new(
        |head| match head.line.contains("AmazonSQS.ChangeMessageVisibility") {
            true => Verdict::Refuse(403, "AccessDenied"),
            false => Verdict::Pass,
        },
    );
    deployment.at(&proxy.endpoint);
    let said = deployment.say("doctor --json").exits(FAILURE);
    let findings = serde_json::from_str::<Value>(&said.stdout).unwrap();
    let (queue, found) = verdict(&findings, "queue");
    assert_eq!(queue, "bad", "{found}");
}

/// Every other check needs credentials, so `doctor` neither tries nor reports one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_reports_missing_credentials_as_one_finding() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["config file overridden"]);
    let mut command = crate::daemon::without_credentials(&deployment, "doctor --json");
    let said = Said::by(&mut command).exits(FAILURE);
    let findings: Vec<Value> = serde_json::from_str(&said.stdout).unwrap();
    let checks: Vec<_> = findings.iter().map(|finding| &finding["check"]).collect();
    assert_eq!(checks, ["working space", "credentials"]);
    assert_eq!(findings[1]["verdict"], "bad");
    assert_eq!(findings[1]["code"], "CC-AWS-CREDENTIALS");
}

/// If every write is refused, a refused write shows nothing about the policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_does_not_take_an_unwritable_pointer_for_protected() {
    let deployment = Deployment::new(COMPACTOR).await;
    for (status, code) in [(403, "AccessDenied"), (403, "InvalidAccessKeyId")] {
        let proxy = Proxy::new(move |head| match head.puts_any_pointer() {
            true => Verdict::Refuse(status, code),
            false => Verdict::Pass,
        });
        deployment.at(&proxy.endpoint);
        let said = deployment.say("doctor --json").exits(FAILURE);
        let findings = serde_json::from_str::<Value>(&said.stdout).unwrap();
        let (policy, found) = verdict(&findings, "pointer policy");
        assert_eq!(policy, "warning", "{found}");
        assert!(found.contains(code), "{found}");
        assert_eq!(verdict(&findings, "objects").0, "bad");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_lists_locks_of_python_writers() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "d", "words", 3, 2);
    deployment.say("submit words=d").succeeds();
    let held = || {
        let findings = deployment.say("doctor --json").json();
        verdict(&findings, "held locks").1.to_owned()
    };
    assert_eq!(held(), "none");
    let minutes = Duration::from_secs(600);
    deployment.lock_words("update", minutes).await;
    let until = deployment.cloud.clock.wall().plus(minutes).to_iso();
    let found = held();
    let end = found.strip_prefix("words: python until ").unwrap();
    assert!(*end <= *until && end[..10] == until[..10], "{found}");
    // A writer that died half-way, or an operator, left it.
    let lock = [
        ("PK", "LOCK#words#chroma-words-update"),
        ("SK", "LOCK"),
        ("owner", "python"),
    ];
    deployment.cloud.put_item(&lock).await;
    assert_eq!(held(), "words: python without an expiry");
}
