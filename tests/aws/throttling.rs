//! The store refuses reads of deltas for a while, as S3 does under load.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::{directory, ids};
use compactor_testkit::process::terminate;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// More than two messages use up until their last receive, with nine attempts at each call.
const REFUSALS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_complete_after_the_store_throttles_delta_reads() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment
        .place
        .expects(&["CC-PORT-THROTTLED", "CC-PORT-TRANSIENT"]);
    for name in ["a", "b"] {
        directory(&deployment.place, name, "words", 4, 3);
        let line = format!("submit words={name} --run-id {name}");
        deployment.say(&line).succeeds();
    }
    let refused = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&refused);
    let proxy = Proxy::new(move |head| {
        let is_delta = head.is_of_s3() && head.line.contains("/words/delta/");
        match is_delta && count.fetch_add(1, Ordering::SeqCst) < REFUSALS {
            true => Verdict::Refuse(503, "SlowDown"),
            false => Verdict::Pass,
        }
    });
    let mut command = deployment.command("run");
    command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint);
    let daemon = command.stdout(Stdio::null()).spawn().unwrap();
    deployment.until(|parts| {
        assert!(parts.iter().all(|part| part.2 != "FAILED"), "{parts:?}");
        parts.iter().all(|part| part.2 == "COMPLETED")
    });
    terminate(daemon);
    assert!(refused.load(Ordering::SeqCst) > REFUSALS);
    assert_eq!(deployment.depth().await.dead, 0);
    assert_eq!(
        deployment.published("words").await,
        ids(&[("a", 4), ("b", 4)])
    );
}
