//! Whole daemons behind a proxy that fakes the answers of one resource, and a restart policy that starts
//! them again. At the end no run is FAILED or dead unless the fault is its own.
//!
//! `cargo xtask faults` runs it, by resource: each pair takes some seconds. `wire_dispositions.rs` is the
//! quick check.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::Fault;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;
use compactor_testkit::process::{ended, signal};

use crate::COMPACTOR;
use crate::proxy::{Head, Proxy, Verdict};
use crate::wire_dispositions::{Said, answers};

/// How often a daemon is started while the fault lasts, and how long it may live then.
const STARTS: u32 = 3;
const LIFE: Duration = Duration::from_secs(4);
/// More than the starts use up, fewer than a daemon that gives back at once would.
const MAX_RECEIVES: u32 = 2 * STARTS + 2;

/// Which requests are about a resource; those of a delta are about that of run `b`.
struct Matcher {
    resource: Resource,
    /// The bucket of a delta that is not in the daemon's own bucket.
    elsewhere: String,
    /// A pointer was put, so the next update is that of a run's record.
    has_published: AtomicBool,
}

impl Matcher {
    fn is_about(&self, head: &Head) -> bool {
        let line = &head.line;
        let of_s3 = head.is_of_s3();
        let writes = line.starts_with("PUT") || line.starts_with("POST");
        let in_version = of_s3 && line.contains("/timestamped/");
        let is_manifest = line.contains("/manifest.json");
        // Listings name the prefix in their query.
        let has = |parts: [&str; 2]| of_s3 && parts.iter().any(|part| line.contains(part));
        let is_pointer = line.contains("/latest-pointer.txt");
        let of_record = self.has_published.load(Ordering::Relaxed) && line.contains("UpdateItem");
        if line.starts_with("PUT") && is_pointer {
            self.has_published.store(true, Ordering::Relaxed);
        }
        match self.resource {
            Resource::Pointer => is_pointer,
            Resource::Manifest => in_version && is_manifest && !writes,
            Resource::Base => in_version && !is_manifest && !writes,
            Resource::Upload => in_version && writes,
            Resource::Delta => has(["/delta/b/", "delta%2Fb%2F"]),
            Resource::Deltas => has(["/delta/", "%2Fdelta%2F"]),
            Resource::ForeignDelta => of_s3 && line.contains(&self.elsewhere),
            Resource::Queue => line.contains("ReceiveMessage"),
            Resource::DeadLetterQueue => line.contains("SendMessage"),
            Resource::Table => line.contains("DynamoDB_"),
            // Daemons put nothing else into the table.
            Resource::Lock => line.contains("PutItem"),
            Resource::RunRecord => of_record,
            Resource::Scratch | Resource::Log => {
                unreachable!("nothing of the machine is on the wire")
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a daemon lives in real time")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn verdict(said: Said) -> Verdict {
    match said {
        Said::Error(status, code) => Verdict::Refuse(status, code),
        Said::Nothing => Verdict::Reset,
    }
}

/// Run `a` is published, and `b` waits; its delta is in the bucket of `other`, if there is one.
async fn waiting(deployment: &Deployment, other: Option<&Deployment>) {
    for run in ["a", "b"] {
        directory(&deployment.place, run, "words", 5, 2);
    }
    deployment.say("submit words=a --run-id a").succeeds();
    deployment.drain();
    let Some(other) = other else {
        deployment.say("submit words=b --run-id b").succeeds();
        return;
    };
    directory(&other.place, "b", "words", 5, 2);
    other.say("submit words=b --run-id b").succeeds();
    let prefix = format!("s3://{}/words/delta/b/", other.cloud.options.bucket);
    deployment.announce("b", &[("words", &prefix)]).await;
}

async fn check(resource: Resource, said: Said, fault: Fault) {
    let what = format!("{resource:?} {said:?}");
    let (disposition, _) = of_fault(resource, fault);
    let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
    let deployment = Deployment::on(Cloud::new(MAX_RECEIVES).await, COMPACTOR);
    let other = match resource {
        Resource::ForeignDelta => Some(Deployment::new(COMPACTOR).await),
        _ => None,
    };
    deployment.place.expects(&[""]);
    if let Some(other) = &other {
        let own = format!("bucket = \"{}\"\n", deployment.cloud.options.bucket);
        let theirs = &other.cloud.options.bucket;
        deployment.change(&own, &format!("{own}delta_buckets = [\"{theirs}\"]\n"));
    }
    waiting(&deployment, other.as_ref()).await;
    let has_bad_message = resource == Resource::DeadLetterQueue;
    if has_bad_message {
        let attributes = [("entity_type", "COMPACTION_RUN")];
        deployment.send("no json", &attributes).await;
    }
    let is_bad = Arc::new(AtomicBool::new(true));
    let bad = Arc::clone(&is_bad);
    let matcher = Matcher {
        resource,
        elsewhere: match &other {
            Some(other) => other.cloud.options.bucket.clone(),
            None => String::new(),
        },
        has_published: AtomicBool::new(false),
    };
    let proxy =
        Proxy::new(
            move |head| match matcher.is_about(head) && bad.load(Ordering::Relaxed) {
                true => verdict(said),
                false => Verdict::Pass,
            },
        );
    for _ in 0..STARTS {
        let mut daemon = through(&deployment, &proxy, "run").spawn().unwrap();
        wait(LIFE);
        let has_ended = daemon.try_wait().unwrap().is_some();
        assert!(
            disposition != Disposition::Stop || has_ended,
            "{what}: it goes on"
        );
        signal(&daemon, "TERM");
        let said = ended(daemon);
        assert_eq!(said.status.success(), !has_ended, "{what}: {said:?}");
    }
    if fails {
        // Until its receives are used up.
        let daemon = through(&deployment, &proxy, "run --drain").spawn().unwrap();
        let said = ended(daemon);
        assert!(said.status.success(), "{what}: {said:?}");
    }
    is_bad.store(false, Ordering::Relaxed);
    deployment.drain();
    let parts = deployment.parts();
    let state = |run: &str| {
        let found = parts.iter().find(|part| part.0 == run);
        found.map(|part| part.2.as_str()).unwrap()
    };
    let expected = if fails { "FAILED" } else { "COMPLETED" };
    assert_eq!(
        (state("a"), state("b")),
        ("COMPLETED", expected),
        "{what}: {parts:?}"
    );
    let dead = u64::from(fails || has_bad_message);
    assert_eq!(deployment.depth().await.dead, dead, "{what}");
    if fails {
        let reasons = deployment.cloud.dead_letter_reasons().await;
        assert!(reasons[0].starts_with("CC-PORT-"), "{what}: {reasons:?}");
    } else {
        assert_eq!(deployment.published("words").await.len(), 10, "{what}");
    }
}

/// A command whose requests go through the proxy.
fn through(deployment: &Deployment, proxy: &Proxy, line: &str) -> std::process::Command {
    let mut command = deployment.command(line);
    command
        .env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint)
        .stdout(Stdio::null());
    command
}

macro_rules! resources {
    ($($name:ident: $resource:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "it takes minutes: `cargo xtask faults`"]
            async fn $name() {
                for (said, fault) in answers(Resource::$resource) {
                    check(Resource::$resource, *said, *fault).await;
                }
            }
        )*
    };
}

resources! {
    pointer_faults_fail_no_innocent_run: Pointer,
    base_faults_fail_no_innocent_run: Base,
    manifest_faults_fail_no_innocent_run: Manifest,
    upload_faults_fail_no_innocent_run: Upload,
    delta_faults_fail_no_innocent_run: Delta,
    all_deltas_faults_fail_no_innocent_run: Deltas,
    foreign_delta_faults_fail_no_innocent_run: ForeignDelta,
    queue_faults_fail_no_innocent_run: Queue,
    dead_letter_queue_faults_fail_no_innocent_run: DeadLetterQueue,
    table_faults_fail_no_innocent_run: Table,
    lock_faults_fail_no_innocent_run: Lock,
    run_record_faults_fail_no_innocent_run: RunRecord,
}
