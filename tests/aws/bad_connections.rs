//! A faulty connection between the SDK and the services: slow, hung, refused, reset, cut off, and with
//! wrong bytes. Single calls may fail; in the end every run is published once and whole.

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

/// What daemons may log at WARN or ERROR on such a connection.
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

/// A proxy on which each kind of fault strikes about one in `every` requests.
fn faulty_proxy(seed: u64, every: u64) -> (Proxy, Arc<Mutex<Dealer>>) {
    let dealer = Arc::new(Mutex::new(Dealer::new(seed, every)));
    let dealing = Arc::clone(&dealer);
    let proxy = Proxy::new(move |head| dealing.lock().unwrap().deal(head));
    (proxy, dealer)
}

/// A kind of fault that never struck proves nothing.
#[track_caller]
fn assert_each_struck(dealer: &Mutex<Dealer>) {
    let struck = dealer.lock().unwrap().struck();
    assert!(struck.iter().all(|(_, times)| *times > 0), "{struck:?}");
}

/// Runs daemons behind the proxy until all runs are completed or 150 seconds have passed. A daemon
/// without the proxy completes the rest.
async fn assert_runs_survive(proxy: Proxy, runs: usize) {
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
    // Only the daemons use the proxy; the assertions ask the services directly.
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
            "a daemon gave up on a faulty line: {said:?}"
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

/// Readers see the old pointer until the whole new one has arrived.
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

/// Six kinds fit nearly every request, each one in 40: together 15 %.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_a_line_with_15_percent_faults() {
    let (line, dealer) = faulty_proxy(1, 40);
    assert_runs_survive(line, 12).await;
    assert_each_struck(&dealer);
}

/// Six kinds fit nearly every request, each one in 15: together 40 %.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_a_line_with_40_percent_faults() {
    let (line, dealer) = faulty_proxy(2, 15);
    assert_runs_survive(line, 6).await;
    assert_each_struck(&dealer);
}

/// The services refuse every request for some seconds, then none, by turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_survive_bursts_of_refused_requests() {
    let (requests, refused) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&refused);
    let proxy = Proxy::new(move |head| {
        // A daemon that cannot open the queue ends, as it should.
        if head.line.contains("AmazonSQS.GetQueue") {
            return Verdict::Pass;
        }
        // By count, not by time: thirty requests pass, thirty are refused.
        if requests.fetch_add(1, Ordering::Relaxed) / 30 % 2 == 0 {
            return Verdict::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        match head.is_of_s3() {
            true => Verdict::Refuse(503, "SlowDown"),
            false => Verdict::Refuse(429, "ThrottlingException"),
        }
    });
    assert_runs_survive(proxy, 8).await;
    assert!(refused.load(Ordering::Relaxed) >= 30);
}
