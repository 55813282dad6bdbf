//! Whole daemons behind a proxy that answers for one resource as told, and a restart policy that starts
//! them again: at the end no run is FAILED or dead but for what is its own fault.
//!
//! `cargo xtask faults` runs it, by resource: each pair takes some seconds. `wire_dispositions.rs` is the quick one.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::Fault;

use crate::cloud::Cloud;
use crate::deployment::{Deployment, signal};
use crate::ended::ended;
use crate::fixture::directory;
use crate::proxy::{Head, Proxy, Verdict};
use crate::wire_dispositions::{Said, answers};

/// How often a daemon is started while the fault lasts, and how long it may live then.
const STARTS: u32 = 3;
const LIFE: Duration = Duration::from_secs(4);
/// More than the starts use up, fewer than a daemon that gives back at once would.
const MAX_RECEIVES: u32 = 2 * STARTS + 2;

fn is_about(resource: Resource, head: &Head) -> bool {
    let line = &head.line;
    let writes = line.starts_with("PUT") || line.starts_with("POST");
    let in_version = head.is_of_s3() && line.contains("/timestamped/");
    let is_manifest = line.contains("/manifest.json");
    match resource {
        Resource::Pointer => line.contains("/latest-pointer.txt"),
        Resource::Manifest => in_version && is_manifest && !writes,
        Resource::Base => in_version && !is_manifest && !writes,
        Resource::Upload => in_version && writes,
        Resource::Deltas => {
            // Listings name the prefix in their query.
            head.is_of_s3()
                && ["/delta/", "%2Fdelta%2F"]
                    .iter()
                    .any(|part| line.contains(part))
        }
        Resource::Queue => line.contains("ReceiveMessage"),
        Resource::Table => line.contains("DynamoDB_"),
        _ => false,
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

async fn check(resource: Resource, said: Said, fault: Fault) {
    let what = format!("{resource:?} {said:?}");
    let (disposition, _) = of_fault(resource, fault);
    let deployment = Deployment::on(Cloud::new(MAX_RECEIVES).await);
    deployment.place.expects(&[""]);
    for run in ["a", "b"] {
        directory(&deployment.place, run, "words", 5, 2);
        let line = format!("submit words={run} --run-id {run}");
        deployment.say(&line).succeeds();
        if run == "a" {
            deployment.drain();
        }
    }
    let is_bad = Arc::new(AtomicBool::new(true));
    let bad = Arc::clone(&is_bad);
    let proxy =
        Proxy::new(
            move |head| match bad.load(Ordering::Relaxed) && is_about(resource, head) {
                true => verdict(said),
                false => Verdict::Pass,
            },
        );
    for _ in 0..STARTS {
        let mut command = deployment.command("run");
        command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", &proxy.endpoint);
        let mut daemon = command.stdout(Stdio::null()).spawn().unwrap();
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
    is_bad.store(false, Ordering::Relaxed);
    deployment.drain();
    let parts = deployment.parts();
    let depth = deployment.depth().await;
    if !matches!(disposition, Disposition::FailRun | Disposition::DeadLetter) {
        assert!(
            parts.iter().all(|part| part.2 == "COMPLETED"),
            "{what}: {parts:?}"
        );
        assert_eq!(depth.dead, 0, "{what}");
        assert_eq!(deployment.published("words").await.len(), 10, "{what}");
    }
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
    pointer: Pointer,
    base: Base,
    manifest: Manifest,
    upload: Upload,
    deltas: Deltas,
    queue: Queue,
    table: Table,
}
