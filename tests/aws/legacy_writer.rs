//! Taking turns with a Python compactor on the same bucket and table.
//!
//! A bucket policy that allows only conditional puts of the pointer keeps it from overwriting what it
//! has not seen. No emulator enforces bucket policies: a proxy that answers 403 to a pointer put
//! without a condition stands in for it here.

use std::process::{Child, Stdio};

use compactor_testkit::cli::Said;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deadline::Deadline;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::deployment::legacy::said;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::{directory, ids};
use compactor_testkit::process::{ended, terminate};
use serde_json::Value;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// A lock that the daemon does not know; the oldest Python writers used it.
const OTHER_LOCK: &str = "--lock-id chroma-final-merge-7";

/// A proxy that enforces the policy.
pub(crate) fn policy() -> Proxy {
    Proxy::new(|head| {
        let conditional = head.has("if-match") || head.has("if-none-match");
        match head.puts_any_pointer() && !conditional {
            true => Verdict::Refuse(403, "AccessDenied"),
            false => Verdict::Pass,
        }
    })
}

/// Submits a delta of five records.
fn submit(deployment: &Deployment, name: &str) {
    directory(&deployment.place, name, "words", 5, 2);
    deployment
        .say(&format!("submit words={name} --run-id {name}"))
        .succeeds();
}

/// A Python compactor that was stopped before it puts the pointer.
struct Paused<'d> {
    deployment: &'d Deployment,
    process: Child,
}

impl<'d> Paused<'d> {
    fn at(deployment: &'d Deployment, endpoint: &str, more: &str) -> Self {
        let queue = &deployment.cloud.options.queue_url;
        let more = format!("--batch 1 --pause paused {more}");
        let mut command = deployment.legacy_cycle(endpoint, queue, &more);
        let process = command.stdout(Stdio::piped()).spawn().unwrap();
        let deadline = Deadline::in_two_minutes();
        while !deployment.place.path("paused/ready").exists() {
            deadline.wait(&"the Python compactor does not come to its pointer");
        }
        Self {
            deployment,
            process,
        }
    }

    fn go(self) -> Value {
        self.deployment.place.write("paused/go", "");
        let output = ended(self.process);
        let stdout = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(stdout.trim()).unwrap()
    }
}

/// Drains the queue with the services at `endpoint`.
fn drain_at(deployment: &Deployment, endpoint: &str) -> Value {
    let mut command = deployment.command("run --drain --json");
    command.env("CHROMA_COMPACTOR_AWS__ENDPOINT", endpoint);
    Said::by(&mut command).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_under_the_bucket_policy() {
    let proxy = policy();
    // Enough receives that no returned message is buried.
    let deployment = Deployment::on(Cloud::new(20).await, COMPACTOR);
    submit(&deployment, "first");
    assert_eq!(drain_at(&deployment, &proxy.endpoint)["published"], 1);
    // The two take turns; both receive the same message.
    for round in 0..2 {
        let name = format!("turn{round}");
        submit(&deployment, &name);
        let queue = &deployment.cloud.options.queue_url;
        let refused = said(&mut deployment.legacy_cycle(&proxy.endpoint, queue, "--batch 1"));
        assert_eq!(refused["refused"], "AccessDenied", "{refused}");
        assert_eq!(drain_at(&deployment, &proxy.endpoint)["completed"], 1);
    }
    // Then both merge at once, from the same version, without a common lock.
    submit(&deployment, "theirs");
    let paused = Paused::at(&deployment, &proxy.endpoint, OTHER_LOCK);
    submit(&deployment, "ours");
    let daemon = deployment.spawn("run");
    deployment.until(|parts| {
        parts
            .iter()
            .any(|part| part.0 == "ours" && part.2 == "COMPLETED")
    });
    let refused = paused.go();
    assert_eq!(refused["refused"], "AccessDenied", "{refused}");
    deployment.until(|parts| parts.iter().all(|part| part.2 == "COMPLETED"));
    terminate(daemon);
    let all = ["first", "turn0", "turn1", "theirs", "ours"].map(|name| (name, 5));
    assert_eq!(deployment.published("words").await, ids(&all));
}

/// As long as both sides hold the same locks, they lose nothing even without the policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_with_a_common_lock_lose_nothing_without_the_policy() {
    for lock in ["chroma-words-compaction", "chroma-words-update"] {
        let deployment = Deployment::on(Cloud::new(20).await, COMPACTOR);
        submit(&deployment, "first");
        assert_eq!(deployment.drain()["published"], 1);
        submit(&deployment, "theirs");
        let paused = Paused::at(&deployment, endpoint(), &format!("--lock-id {lock}"));
        submit(&deployment, "ours");
        let daemon = deployment.spawn("run");
        deployment.until_in_flight(2).await;
        assert_eq!(deployment.part("ours", "words").0, "PENDING");
        assert_eq!(paused.go()["merged"], 5);
        deployment.until(|parts| parts.iter().all(|part| part.2 == "COMPLETED"));
        terminate(daemon);
        let all = ["first", "theirs", "ours"].map(|name| (name, 5));
        assert_eq!(deployment.published("words").await, ids(&all), "{lock}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_update_without_the_policy_is_found_and_retried() {
    for layout in ["files", "archive"] {
        let deployment = Deployment::on(Cloud::new(20).await, COMPACTOR);
        deployment.place.expects(&["CC-OVERWRITTEN"]);
        deployment.change(
            "[queue]",
            &format!("[snapshot]\nlayout = \"{layout}\"\n[queue]"),
        );
        let doctor = deployment.say("doctor --json").json();
        let policy = doctor.as_array().unwrap().iter();
        let policy = policy.filter(|finding| finding["check"] == "pointer policy");
        assert!(
            policy
                .into_iter()
                .all(|finding| finding["verdict"] == "warning")
        );

        submit(&deployment, "first");
        assert_eq!(deployment.drain()["published"], 1);
        submit(&deployment, "theirs");
        let paused = Paused::at(
            &deployment,
            endpoint(),
            &format!("{OTHER_LOCK} --layout {layout}"),
        );
        submit(&deployment, "ours");
        let daemon = deployment.spawn("run");
        deployment.until(|parts| {
            parts
                .iter()
                .any(|part| part.0 == "ours" && part.2 == "COMPLETED")
        });
        terminate(daemon);
        assert_eq!(paused.go()["merged"], 5);
        let lost = ["first", "theirs"].map(|name| (name, 5));
        let read: Vec<String> = deployment
            .read_by_python("words")
            .into_iter()
            .map(|r| r.id)
            .collect();
        assert_eq!(
            read,
            ids(&lost),
            "the update is not lost without the policy"
        );

        submit(&deployment, "next");
        let said = deployment.say("run --drain").succeeds();
        said.naming(&["CC-OVERWRITTEN", "runs=\"ours\""]);
        let (state, error) = deployment.part("ours", "words");
        assert_eq!(state, "FAILED");
        assert!(
            error.contains("CC-OVERWRITTEN") && error.contains("runs retry ours"),
            "{error}"
        );
        for run in ["first", "theirs", "next"] {
            assert_eq!(deployment.part(run, "words").0, "COMPLETED", "{run}");
        }
        deployment.say("runs retry ours").succeeds();
        assert_eq!(deployment.drain()["completed"], 1);
        let all = ["first", "theirs", "ours", "next"].map(|name| (name, 5));
        assert_eq!(deployment.published("words").await, ids(&all), "{layout}");
    }
}
