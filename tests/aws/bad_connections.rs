//! A bad line between the SDK and the services: slow, hung, refused, reset, cut off, and with wrong
//! bytes. Whatever comes of single calls, in the end every run is published once and whole.

mod faults;

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

use compactor_testkit::cloud::Cloud;
use compactor_testkit::deadline::Deadline;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::keeps_what_half_an_upload_would_replace;
use compactor_testkit::fixture::{directory, ids};
use compactor_testkit::not_run::not_run;
use compactor_testkit::process::{ended, signal};
use faults::Dealer;

/// What daemons may say at WARN or ERROR on such a line.
const EXPECTED: &[&str] = &[
    "CC-PORT-TRANSIENT",
    "CC-PORT-THROTTLED",
    "CC-PORT-UNKNOWN",
    "CC-PORT-CORRUPT",
    "CC-POINTER",
    "CC-MANIFEST",
    "CC-SNAPSHOT-FILE",
    "CC-UPLOAD-DIFFERS",
    "CC-UPLOAD-EXISTS",
    "CC-SWAP-UNKNOWN",
    "CC-LEASE-LOST",
    "CS-ARCHIVE-DAMAGED",
    "a message cannot be held any longer",
    "stopping without waiting any longer",
    "messages could not be given back in time",
];

/// A line on which each kind of fault strikes one of `every` so many requests.
fn bad_line(seed: u64, every: u64) -> (Proxy, Arc<Mutex<Dealer>>) {
    let dealer = Arc::new(Mutex::new(Dealer::new(seed, every)));
    let dealing = Arc::clone(&dealer);
    let proxy = Proxy::new(move |head| dealing.lock().unwrap().deal(head));
    (proxy, dealer)
}

/// A kind of fault that never came was not endured.
#[track_caller]
fn assert_each_struck(dealer: &Mutex<Dealer>) {
    let struck = dealer.lock().unwrap().struck();
    assert!(struck.iter().all(|(_, times)| *times > 0), "{struck:?}");
}

/// Runs daemons behind the proxy until all runs are through, or for a while; the rest is worked
/// off on a good line.
async fn endures(proxy: Proxy, runs: usize) {
    let deployment = Deployment::on(Cloud::new(1000).await, COMPACTOR);
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
    let deadline = Deadline::after(Duration::from_secs(150));
    while deployment.parts().iter().any(|part| part.2 != "COMPLETED") && deadline.is_ahead() {
        deployment.published("words").await;
    }
    let done = deployment.parts();
    let done = done.iter().filter(|part| part.2 == "COMPLETED").count();
    assert!(done > 1, "{done} of {runs} runs on the bad line");
    for daemon in daemons {
        signal(&daemon, "TERM");
        let said = ended(daemon);
        assert!(
            said.status.success(),
            "a bad line is no reason to give up: {said:?}"
        );
    }
    deployment.drain();
    let parts = deployment.parts();
    assert!(parts.iter().all(|part| part.2 == "COMPLETED"), "{parts:?}");
    let names: Vec<(&str, usize)> = expected.iter().map(|name| (name.as_str(), 4)).collect();
    assert_eq!(deployment.published("words").await, ids(&names));
    let records = deployment.read_by_python("words");
    assert_eq!(records.len(), 4 * runs);
}

/// The old pointer stays until the whole new one is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_pointer_put_leaves_the_old_pointer() {
    if !keeps_what_half_an_upload_would_replace() {
        not_run("half a pointer; this emulator does not keep the old one");
        return;
    }
    let deployment = Deployment::on(Cloud::new(3).await, COMPACTOR);
    let told = ["CC-PORT-TRANSIENT", "CC-PORT-UNKNOWN", "CC-SWAP-UNKNOWN"];
    deployment.place.expects(&told);
    for name in ["a", "b"] {
        directory(&deployment.place, name, "words", 4, 3);
        deployment
            .say(&format!("submit words={name} --run-id {name}"))
            .succeeds();
        if name == "a" {
            deployment.drain();
        }
    }
    let cut = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&cut);
    let proxy = Proxy::new(move |head| {
        if head.puts_pointer() && count.fetch_add(1, Ordering::Relaxed) == 0 {
            return Verdict::HalfRequest;
        }
        Verdict::Pass
    });
    let mut command = deployment.command("run --drain");
    command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint);
    let daemon = command.stdout(Stdio::null()).spawn().unwrap();
    let old = ids(&[("a", 4)]);
    let new = ids(&[("a", 4), ("b", 4)]);
    let deadline = Deadline::in_two_minutes();
    loop {
        let seen = deployment.published("words").await;
        if seen == new {
            break;
        }
        assert_eq!(seen, old);
        deadline.wait(&seen);
    }
    assert!(ended(daemon).status.success());
    assert!(cut.load(Ordering::Relaxed) >= 2);
}

/// Six kinds strike any request, or nearly any: 15 % of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_a_line_with_15_percent_faults() {
    let (line, dealer) = bad_line(1, 40);
    endures(line, 12).await;
    assert_each_struck(&dealer);
}

/// 40 %.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_a_line_with_40_percent_faults() {
    let (line, dealer) = bad_line(2, 15);
    endures(line, 6).await;
    assert_each_struck(&dealer);
}

/// Everything is refused for some seconds, then nothing, and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_bursts_of_refused_requests() {
    let (requests, refused) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&refused);
    let proxy = Proxy::new(move |head| {
        // Who cannot even open the queue ends, as it should.
        if head.line.contains("AmazonSQS.GetQueue") {
            return Verdict::Pass;
        }
        // Counted, not timed: thirty pass, thirty are refused.
        if requests.fetch_add(1, Ordering::Relaxed) / 30 % 2 == 0 {
            return Verdict::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        match head.is_of_s3() {
            true => Verdict::Refuse(503, "SlowDown"),
            false => Verdict::Refuse(429, "ThrottlingException"),
        }
    });
    endures(proxy, 8).await;
    assert!(refused.load(Ordering::Relaxed) >= 30);
}
