//! Which buckets are read, and whose they must be.

use std::sync::{Arc, Mutex};

use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

const OWNER: &str = "x-amz-expected-bucket-owner";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_in_an_unlisted_bucket_is_refused() {
    let (deployment, other) = (
        Deployment::new(COMPACTOR).await,
        Deployment::new(COMPACTOR).await,
    );
    deployment.place.expects(&["CC-DELTA-BUCKET"]);
    directory(&other.place, "private", "words", 3, 2);
    other.say("submit words=private --run-id x").succeeds();
    let bucket = other.cloud.options.bucket.clone();
    let prefix = format!("s3://{bucket}/words/delta/x/");
    deployment.announce("a", &[("words", &prefix)]).await;
    let drained = deployment.say("run --drain --json").json();
    assert_eq!(drained["completed"], 0);
    let parts = deployment.parts();
    assert!(parts[0].3.starts_with("CC-DELTA-BUCKET: "), "{parts:?}");
    let own = format!("bucket = \"{}\"\n", deployment.cloud.options.bucket);
    deployment.change(&own, &format!("{own}delta_buckets = [\"{bucket}\"]\n"));
    deployment.announce("b", &[("words", &prefix)]).await;
    let drained = deployment.say("run --drain --json").json();
    assert_eq!(drained["completed"], 1);
    assert_eq!(deployment.published("words").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_s3_request_names_the_expected_bucket_owner() {
    let (deployment, other) = (
        Deployment::new(COMPACTOR).await,
        Deployment::new(COMPACTOR).await,
    );
    directory(&other.place, "theirs", "words", 3, 2);
    other.say("submit words=theirs --run-id x").succeeds();
    let theirs = other.cloud.options.bucket.clone();
    let own = deployment.cloud.options.bucket.clone();
    let line = format!("bucket = \"{own}\"\n");
    deployment.change(
        &line,
        &format!(
            "{line}delta_buckets = [\"{theirs}\"]\n\
             bucket_owners = {{ {own} = \"000000000000\", {theirs} = \"111111111111\" }}\n"
        ),
    );
    let without = Arc::new(Mutex::new(Vec::new()));
    let (seen, owners) = (Arc::clone(&without), [own, theirs.clone()]);
    let proxy = Proxy::new(move |head| {
        let is_of_s3 = owners
            .iter()
            .any(|bucket| head.line.contains(&format!("/{bucket}")));
        if is_of_s3 && !head.has(OWNER) {
            seen.lock().unwrap().push(head.line.clone());
        }
        Verdict::Pass
    });
    deployment.at(&proxy.endpoint);
    deployment
        .announce("a", &[("words", &format!("s3://{theirs}/words/delta/x/"))])
        .await;
    directory(&deployment.place, "own", "words", 2, 2);
    deployment.say("submit words=own --run-id own").succeeds();
    let drained = deployment.say("run --drain --json").json();
    assert_eq!(drained["completed"], 2, "{drained}");
    deployment.say("doctor --json").succeeds();
    let without = without.lock().unwrap();
    assert!(without.is_empty(), "{without:#?}");
}
