//! A bad line between the SDK and the services: slow, hung, refused, reset, cut off, and with wrong
//! bytes. Whatever comes of single calls, in the end every run is published once and whole.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

use crate::cloud::Cloud;
use crate::deployment::{Deployment, signal};
use crate::ended::ended;
use crate::fixture::directory;
use crate::patience::Patience;
use crate::producer::ids;
use crate::proxy::{Head, Proxy, Verdict};

/// What daemons may say at WARN or ERROR on such a line.
const EXPECTED: &[&str] = &[
    "CC-PORT-",
    "CC-POINTER",
    "CC-MANIFEST",
    "CC-SNAPSHOT-FILE",
    "CC-UPLOAD-DIFFERS",
    "CC-SWAP-UNKNOWN",
    "CC-LEASE-LOST",
    "a message cannot be held any longer",
    "stopping without waiting any longer",
];

/// Longer than the attempt at a call to queue or table may take.
const HANG: Duration = Duration::from_secs(7);

fn is_of_s3(head: &Head) -> bool {
    !head.line.contains("DynamoDB_") && !head.line.contains("AmazonSQS")
}

/// Reads of objects: only these have a digest that tells wrong bytes apart from right ones. What
/// is sent to S3 has one too, which S3 checks and no emulator here.
fn reads_object(head: &Head) -> bool {
    head.line.starts_with("GET ")
        && head.line.contains("/snapshot/")
        && !head.line.contains("list-type")
}

/// Spoils so many of a thousand requests.
fn bad_line(seed: u64, per_thousand: u32, spoilt: Arc<AtomicU64>) -> Proxy {
    let (rng, requests) = (Mutex::new(Rng::with_seed(seed)), AtomicU64::new(0));
    Proxy::new(move |head| {
        // Who cannot even open the queue ends, as it should.
        if requests.fetch_add(1, Ordering::Relaxed) < 30 {
            return Verdict::Pass;
        }
        let mut rng = rng.lock().unwrap();
        if rng.u32(0..1000) >= per_thousand {
            return Verdict::Pass;
        }
        spoilt.fetch_add(1, Ordering::Relaxed);
        match rng.u32(0..8) {
            0 => Verdict::After(Duration::from_millis(rng.u64(100..1500))),
            1 if !is_of_s3(head) => Verdict::After(HANG),
            2 if reads_object(head) => Verdict::WrongByte,
            3 | 4 => Verdict::HalfAnswer,
            5 => Verdict::Refuse(429, "TooManyRequests"),
            6 => Verdict::Refuse(503, "SlowDown"),
            _ => Verdict::HangUp,
        }
    })
}

/// Runs daemons behind the proxy until all runs are through, or for a while; the rest is worked
/// off on a good line.
async fn endures(proxy: Proxy, runs: usize) {
    let deployment = Deployment::on(Cloud::new(1000).await);
    deployment.place.expects(EXPECTED);
    let mut expected = Vec::new();
    for number in 0..runs {
        let name = format!("r{number:02}");
        directory(&deployment.place, &name, "words", 4, 3);
        deployment
            .say(&format!("submit words={name} --run-id {name}"))
            .succeeds();
        expected.push(name);
        if number == 0 {
            deployment.drain();
        }
    }
    // The line is the daemons', not that of those who look.
    let daemons = [0, 1].map(|_| {
        let mut command = deployment.command("run");
        command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint);
        command.stdout(Stdio::null());
        command.spawn().unwrap()
    });
    let patience = Patience::of(Duration::from_secs(40));
    while deployment.parts().iter().any(|part| part.2 != "COMPLETED") && patience.is_left() {
        deployment.published("words").await;
    }
    for daemon in daemons {
        signal(&daemon, "TERM");
        ended(daemon);
    }
    deployment.drain();
    let parts = deployment.parts();
    assert!(parts.iter().all(|part| part.2 == "COMPLETED"), "{parts:?}");
    let names: Vec<(&str, usize)> = expected.iter().map(|name| (name.as_str(), 4)).collect();
    assert_eq!(deployment.published("words").await, ids(&names));
    let records = deployment.read_by_python("words");
    assert_eq!(records.len(), 4 * runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_loses_nothing() {
    let spoilt = Arc::new(AtomicU64::new(0));
    endures(bad_line(1, 150, Arc::clone(&spoilt)), 12).await;
    let spoilt = spoilt.load(Ordering::Relaxed);
    assert!(spoilt >= 2, "only {spoilt} requests were spoilt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_hardly_there_loses_nothing() {
    let spoilt = Arc::new(AtomicU64::new(0));
    endures(bad_line(2, 400, Arc::clone(&spoilt)), 6).await;
    let spoilt = spoilt.load(Ordering::Relaxed);
    assert!(spoilt >= 5, "only {spoilt} requests were spoilt");
}

/// Everything is refused for some seconds, then nothing, and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_refusals_loses_nothing() {
    let (requests, refused) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&refused);
    let proxy = Proxy::new(move |head| {
        // Counted, not timed: thirty pass, thirty are refused.
        if requests.fetch_add(1, Ordering::Relaxed) / 30 % 2 == 0 {
            return Verdict::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        match is_of_s3(head) {
            true => Verdict::Refuse(503, "SlowDown"),
            false => Verdict::Refuse(429, "ThrottlingException"),
        }
    });
    endures(proxy, 8).await;
    assert!(refused.load(Ordering::Relaxed) >= 30);
}
