//! 1 to 13: snapshots and the pointer.

mod stopped_writers;
mod unanswered_put;

use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use compactor_testkit::deployment::legacy::Record;
use compactor_testkit::deployment::{Deployment, Part};
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::{directory, ids, packed};
use compactor_testkit::process::{ended, kill, terminate};

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

const OLD: &str = "20251115_171818";

/// Publishes ten records called `base`.
async fn with_base() -> Deployment {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "base", "words", 10, 2);
    deployment.say("submit words=base").succeeds();
    assert_eq!(deployment.drain()["published"], 1);
    deployment
}

/// Submits a delta of five records.
fn submit(deployment: &Deployment, name: &str) {
    directory(&deployment.place, name, "words", 5, 2);
    let line = format!("submit words={name} --run-id {name}");
    deployment.say(&line).succeeds();
}

/// What the services answered to puts of the pointer.
fn answers_to_pointer_puts(proxy: &Proxy) -> Vec<u16> {
    let answers = proxy.answers().into_iter();
    let of_puts = answers.filter(|(line, _)| {
        line.starts_with("PUT ") && line.contains("/words/snapshot/latest-pointer.txt")
    });
    of_puts.map(|(_, status)| status).collect()
}

/// One attempt at the run `next` fails with `code`, and the pointer stays.
async fn assert_next_run_is_refused(deployment: &Deployment, code: &'static str) {
    deployment.place.expects(&[code]);
    let before = deployment.pointer("words").await;
    submit(deployment, "next");
    deployment.say("run --drain").exits(1);
    let (state, error) = deployment.part("next", "words");
    // The run does not fail for it.
    assert_eq!(state, "PENDING", "{error}");
    assert!(error.contains(code), "{error}");
    assert_eq!(deployment.pointer("words").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_objects_of_a_version_are_put_before_the_pointer_names_it() {
    let proxy = Proxy::new(|_| Verdict::Pass);
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.at(&proxy.endpoint);
    submit(&deployment, "first");
    deployment.drain();
    let bucket = &deployment.cloud.options.bucket;
    let puts = proxy.seen().into_iter().filter_map(|line| {
        let path = line.strip_prefix("PUT ")?.split('?').next()?;
        path.strip_prefix(&format!("/{bucket}/words/snapshot/"))
            .map(str::to_owned)
    });
    let puts: Vec<String> = puts.collect();
    let version = deployment.pointer("words").await.unwrap();
    let manifest = format!("timestamped/{version}/manifest.json");
    let end = [manifest.as_str(), "latest-pointer.txt"];
    assert_eq!(puts[puts.len() - 2..], end, "{puts:?}");
    let mut written: Vec<String> = puts[..puts.len() - 1].to_vec();
    let mut objects = deployment.cloud.keys().await;
    objects.retain(|key| key.contains("timestamped"));
    written.sort();
    let written: Vec<String> = written
        .iter()
        .map(|name| format!("words/snapshot/{name}"))
        .collect();
    assert_eq!(
        written, objects,
        "each object is put once and before the pointer"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_crash_before_the_pointer_put_leaves_the_old_version() {
    let deployment = with_base().await;
    let before = deployment.pointer("words").await;
    submit(&deployment, "next");
    let (reached, at_pointer) = mpsc::channel();
    let (_never, goes) = mpsc::channel::<()>();
    let (reached, goes) = (Mutex::new(reached), Mutex::new(goes));
    let proxy = Proxy::new(move |head| match head.puts_pointer() {
        true => {
            reached.lock().unwrap().send(()).unwrap();
            // Held until the daemon is dead and the test ends.
            let _ = goes.lock().unwrap().recv();
            Verdict::Reset
        }
        false => Verdict::Pass,
    });
    deployment.at(&proxy.endpoint);
    let daemon = deployment.spawn_drain();
    at_pointer.recv_timeout(Duration::from_secs(60)).unwrap();
    kill(daemon);
    assert_eq!(deployment.pointer("words").await, before);
    assert_eq!(deployment.published("words").await, ids(&[("base", 10)]));
    // The next one continues.
    deployment.at(endpoint());
    assert_eq!(deployment.drain()["completed"], 1);
    let both = ids(&[("base", 10), ("next", 5)]);
    assert_eq!(deployment.published("words").await, both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b03_version_ids_differ_and_sort_by_time() {
    let deployment = Deployment::new(COMPACTOR).await;
    let mut found = Vec::new();
    for name in ["a", "b", "c"] {
        submit(&deployment, name);
        deployment.drain();
        found.push(deployment.pointer("words").await.unwrap());
    }
    assert!(
        found.is_sorted_by(|earlier, later| earlier < later),
        "{found:?}"
    );
    let versions: Vec<compactor_core::Version> =
        found.iter().map(|text| text.parse().unwrap()).collect();
    assert!(versions.is_sorted_by(|earlier, later| earlier.time() < later.time()));

    // Two at the same moment, and a third by the one that had to begin again.
    let deployments = deployments_without_a_common_lock().await;
    both_publish(&deployments, ["one", "two"]);
    assert_eq!(deployments[0].versions("words").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_published_records_are_read_back_by_chromadb() {
    let deployment = with_base().await;
    submit(&deployment, "next");
    deployment.drain();
    let records = deployment.read_by_python("words");
    assert_eq!(records.len(), 15);
    records.iter().for_each(assert_is_as_made);
}

/// As `directory` made it, with two dimensions.
pub(super) fn assert_is_as_made(record: &Record) {
    let (name, number) = record.id.rsplit_once('-').unwrap();
    let number: u16 = number.parse().unwrap();
    let document = format!("document {number} in {name}");
    assert_eq!(record.document.as_ref(), Some(&document));
    assert_eq!(
        record.embedding,
        [f32::from(number), f32::from(number) + 1.0]
    );
    assert_eq!(record.metadata, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b05_empty_first_delta_publishes_an_empty_collection() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "none", "words", 0, 2);
    deployment.say("submit words=none").succeeds();
    assert_eq!(deployment.drain()["published"], 1);
    assert!(deployment.read_by_python("words").is_empty());
}

/// Two deployments on one bucket, each with its own queue and table: no lock is common to both.
async fn deployments_without_a_common_lock() -> [Deployment; 2] {
    let (one, two) = (
        Deployment::new(COMPACTOR).await,
        Deployment::new(COMPACTOR).await,
    );
    let (theirs, ours) = (&two.cloud.options.bucket, &one.cloud.options.bucket);
    two.change(
        &format!("bucket = \"{theirs}\""),
        &format!("bucket = \"{ours}\""),
    );
    [one, two]
}

/// Lets both publish at the same moment: the one that reaches the pointer first waits for the other.
/// Gives the number of puts of the pointer.
fn both_publish(deployments: &[Deployment; 2], names: [&str; 2]) -> usize {
    let at_pointer = Arc::new((Mutex::new(0), Condvar::new()));
    let both = Arc::clone(&at_pointer);
    let proxy = Proxy::new(move |head| {
        if head.puts_pointer() {
            let (count, changed) = &*both;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let patience = Duration::from_secs(60);
            let waited = changed.wait_timeout_while(count, patience, |count| *count < 2);
            assert!(
                !waited.unwrap().1.timed_out(),
                "the other daemon did not come"
            );
        }
        Verdict::Pass
    });
    for (deployment, name) in deployments.iter().zip(names) {
        submit(deployment, name);
        deployment.at(&proxy.endpoint);
    }
    let daemons = deployments.each_ref().map(Deployment::spawn_drain);
    for daemon in daemons {
        assert!(ended(daemon).status.success());
    }
    for deployment in deployments {
        deployment.at(endpoint());
    }
    *at_pointer.0.lock().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b06_two_first_writers_at_once_lose_nothing() {
    let deployments = deployments_without_a_common_lock().await;
    let tries = both_publish(&deployments, ["one", "two"]);
    assert_eq!(tries, 3, "one put was refused and repeated");
    let all = ids(&[("one", 5), ("two", 5)]);
    assert_eq!(deployments[0].published("words").await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_python_snapshots_in_either_layout_are_read() {
    for form in ["archive", "files"] {
        let deployment = Deployment::new(COMPACTOR).await;
        let dir = directory(&deployment.place, "base", "words", 10, 2);
        let prefix = format!("words/snapshot/timestamped/{OLD}/");
        if form == "archive" {
            let archive = packed(&dir);
            let hash = format!("md5:{}", md5_of(&archive));
            deployment
                .put(&format!("{prefix}snapshot.tar.gz"), archive)
                .await;
            deployment
                .put(&format!("{prefix}.snapshot_hash"), hash)
                .await;
        } else {
            deployment.upload_files(&dir, &prefix).await;
            let body = std::fs::read(dir.join("chroma.sqlite3")).unwrap();
            let line = format!("{}  chroma.sqlite3\n", md5_of(&body));
            let hash = serde_json::json!({
                "directory_hash": md5_of(line.as_bytes()), "algorithm": "md5", "file_count": 1,
                "total_size_bytes": body.len(), "calculated_at": "2025-11-15T17:18:18+00:00",
                "calculation_time_seconds": 0.1, "version": "1.0",
            });
            deployment
                .put(&format!("{prefix}.snapshot_hash"), hash.to_string())
                .await;
        }
        deployment
            .put("words/snapshot/latest-pointer.txt", OLD)
            .await;
        submit(&deployment, "next");
        assert_eq!(deployment.drain()["published"], 1, "{form}");
        let both = ids(&[("base", 10), ("next", 5)]);
        assert_eq!(deployment.published("words").await, both, "{form}");
    }
}

fn md5_of(bytes: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b08_damaged_or_missing_base_files_are_refused() {
    let deployment = with_base().await;
    let version = deployment.pointer("words").await.unwrap();
    let key = format!("words/snapshot/timestamped/{version}/chroma.sqlite3");
    let mut body = deployment.object(&key).await.unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    deployment.put(&key, body).await;
    assert_next_run_is_refused(&deployment, "CC-SNAPSHOT-FILE").await;

    let deployment = with_base().await;
    let version = deployment.pointer("words").await.unwrap();
    let objects = deployment.cloud.backend().await.objects;
    let key = format!("words/snapshot/timestamped/{version}/chroma.sqlite3");
    compactor_core::ports::ObjectStore::delete(&*objects, &key)
        .await
        .unwrap();
    assert_next_run_is_refused(&deployment, "CC-SNAPSHOT-FILE").await;

    let deployment = Deployment::new(COMPACTOR).await;
    let prefix = format!("words/snapshot/timestamped/{OLD}/");
    deployment
        .put(&format!("{prefix}snapshot.tar.gz"), "no archive")
        .await;
    let hash = format!("md5:{}", md5_of(b"no archive"));
    deployment
        .put(&format!("{prefix}.snapshot_hash"), hash)
        .await;
    deployment
        .put("words/snapshot/latest-pointer.txt", OLD)
        .await;
    assert_next_run_is_refused(&deployment, "CC-SNAPSHOT-FILE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b09_truncated_base_is_refused_until_it_is_repaired() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CC-SNAPSHOT-FILE"]);
    let dir = directory(&deployment.place, "base", "words", 10, 2);
    let (archive, prefix) = (packed(&dir), format!("words/snapshot/timestamped/{OLD}/"));
    let hash = format!("md5:{}", md5_of(&archive));
    let key = format!("{prefix}snapshot.tar.gz");
    deployment.put(&key, &archive[..archive.len() / 2]).await;
    deployment
        .put(&format!("{prefix}.snapshot_hash"), hash)
        .await;
    deployment
        .put("words/snapshot/latest-pointer.txt", OLD)
        .await;
    submit(&deployment, "next");
    let daemon = deployment.spawn("run");
    // A process that waits for the run would take FAILED for the end.
    let is_set_back = |(_, _, state, error): &Part| state == "PENDING" && !error.is_empty();
    deployment.until(|parts| parts.iter().any(is_set_back));
    // Repaired while the daemon runs: the message is received again, and all is well.
    deployment.put(&key, archive).await;
    deployment.until(|parts| parts.iter().any(|(_, _, state, _)| state == "COMPLETED"));
    terminate(daemon);
    assert_eq!(deployment.published("words").await.len(), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_pointer_to_a_missing_version_is_refused() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment
        .put("words/snapshot/latest-pointer.txt", OLD)
        .await;
    assert_next_run_is_refused(&deployment, "CC-MANIFEST-MISSING").await;
    assert!(
        deployment.versions("words").await.is_empty(),
        "no new lineage begins"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_sweep_keeps_configured_versions_and_unpublished_newer_ones() {
    let deployment = Deployment::new(COMPACTOR).await;
    let mut published = Vec::new();
    for name in ["a", "b", "c", "d"] {
        submit(&deployment, name);
        deployment.drain();
        published.push(deployment.pointer("words").await.unwrap());
    }
    // Newer versions that no pointer ever named.
    for year in 2990..2996 {
        let key = format!("words/snapshot/timestamped/{year}0101_000000/chroma.sqlite3");
        deployment.put(&key, "x").await;
    }
    let clean = "clean-up --keep 2 --older-than 0s --yes --force";
    deployment.say(clean).succeeds();
    let left = deployment.versions("words").await;
    assert_eq!(left[..2], published[2..], "{left:?}");
    assert_eq!(
        left.len(),
        8,
        "a writer may be about to publish a version newer than the pointer"
    );
    assert_eq!(deployment.published("words").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_two_writers_on_the_same_base_lose_nothing() {
    let deployments = deployments_without_a_common_lock().await;
    for names in [["a1", "b1"], ["a2", "b2"], ["a3", "b3"], ["a4", "b4"]] {
        let tries = both_publish(&deployments, names);
        assert_eq!(tries, 3, "one put was refused and repeated");
    }
    let names = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"].map(|name| (name, 5));
    assert_eq!(deployments[0].published("words").await, ids(&names));
}
