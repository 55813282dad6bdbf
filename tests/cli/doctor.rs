//! `doctor` checks published versions, held locks, waiting runs and unpublished versions.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use compactor_core::ports::{Acquired, Clock, Ids, LeaseStore};
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};
use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::{directory, words};
use serde_json::Value;

use crate::COMPACTOR;

/// Publishes one version of `words`. Returns its folder too.
fn published() -> (Workdir, PathBuf) {
    let place = Workdir::new(COMPACTOR);
    publish(&place, "d");
    let version = versions(&place).pop().unwrap();
    let folder = format!("data/objects/words/snapshot/timestamped/{version}");
    let folder = place.path(folder);
    (place, folder)
}

fn publish(place: &Workdir, name: &str) {
    words(place, name);
    place
        .say(&format!("submit words={name} --data data"))
        .succeeds();
    place.say("run --drain --data data").succeeds();
}

fn versions(place: &Workdir) -> Vec<String> {
    place.names_in("data/objects/words/snapshot/timestamped")
}

fn findings(stdout: &str, check: &str) -> Vec<Value> {
    let findings: Vec<Value> = serde_json::from_str(stdout).unwrap();
    let of_check = findings.into_iter();
    of_check
        .filter(|finding| finding["check"] == check)
        .collect()
}

#[track_caller]
fn finds(place: &Workdir, code: &str, part: &str) {
    let said = place.say("doctor --data data --json").exits(FAILURE);
    let found = findings(&said.stdout, "snapshots");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["verdict"], "bad", "{found:?}");
    assert_eq!(found[0]["code"], code, "{found:?}");
    let text = found[0]["found"].as_str().unwrap();
    assert!(
        text.starts_with("words: ") && text.contains(part),
        "{found:?}"
    );
    let table = place.say("doctor --data data").exits(FAILURE);
    assert!(table.stdout.contains(code), "{table}");
}

#[test]
fn doctor_finds_an_undecodable_or_missing_pointer() {
    let (place, _) = published();
    let pointer = place.path("data/objects/words/snapshot/latest-pointer.txt");
    std::fs::write(&pointer, "garbage").unwrap();
    finds(&place, "CC-POINTER", "latest-pointer.txt");
    finds(&place, "CC-POINTER", &versions(&place)[0]);
    std::fs::remove_file(&pointer).unwrap();
    finds(&place, "CC-POINTER-GONE", &versions(&place)[0]);
}

#[test]
fn doctor_finds_an_undecodable_or_missing_manifest() {
    let (place, folder) = published();
    let manifest = folder.join("manifest.json");
    std::fs::write(&manifest, "{}").unwrap();
    finds(&place, "CC-MANIFEST", &versions(&place)[0]);
    std::fs::remove_file(&manifest).unwrap();
    finds(&place, "CC-MANIFEST-MISSING", &versions(&place)[0]);
}

#[test]
fn doctor_finds_missing_and_truncated_files() {
    let (place, folder) = published();
    let database = folder.join("chroma.sqlite3");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, &whole[1..]).unwrap();
    let size = whole.len();
    finds(
        &place,
        "CC-SNAPSHOT-FILE",
        &format!("{} bytes, the manifest says {size}", size - 1),
    );
    std::fs::remove_file(&database).unwrap();
    std::fs::remove_file(folder.join(".snapshot_hash")).unwrap();
    finds(&place, "CC-SNAPSHOT-FILE", "1 more");
}

#[test]
fn doctor_finds_a_missing_archive() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "d");
    place.write("c.toml", "[snapshot]\nlayout = \"archive\"\n");
    place.say("submit words=d --data data").succeeds();
    place
        .say("run --drain --data data --config c.toml")
        .succeeds();
    place.say("doctor --data data").succeeds();
    let version = versions(&place).pop().unwrap();
    let archive = format!("data/objects/words/snapshot/timestamped/{version}/snapshot.tar.gz");
    std::fs::remove_file(place.path(archive)).unwrap();
    finds(&place, "CC-SNAPSHOT-FILE", "snapshot.tar.gz");
}

#[test]
fn doctor_reports_sound_collections_beside_a_damaged_one() {
    let (place, folder) = published();
    directory(&place, "l", "lines", 3, 2);
    place.say("submit lines=l --data data").succeeds();
    place.say("run --drain --data data").succeeds();
    std::fs::remove_file(folder.join("manifest.json")).unwrap();
    let said = place.say("doctor --data data --json").exits(FAILURE);
    let found = findings(&said.stdout, "snapshots");
    assert_eq!(found[0]["verdict"], "ok", "{found:?}");
    assert!(found[0]["found"].as_str().unwrap().starts_with("1 "));
    assert_eq!(found[1]["code"], "CC-MANIFEST-MISSING", "{found:?}");
}

/// A late put may still publish a version that is newer than the pointer's, so clean-up keeps it until the
/// pointer has passed it.
#[test]
fn newer_version_is_listed_and_deleted_once_the_pointer_passes_it() {
    let (place, folder) = published();
    let first = versions(&place).pop().unwrap();
    // A version of the same instant, with a greater suffix.
    let newer = format!("{}ffffffff", &first[..first.len() - 8]);
    let orphan = folder.with_file_name(&newer);
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("chroma.sqlite3"), [0; 4096]).unwrap();
    let said = place.say("doctor --data data --json").succeeds();
    let found = findings(&said.stdout, "unpublished versions");
    assert_eq!(found[0]["verdict"], "ok", "{found:?}");
    let text = found[0]["found"].as_str().unwrap();
    assert_eq!(text, format!("words: {newer} (4.0 KiB)"));

    let clean = "clean-up --data data --keep 1 --older-than 0s --yes --force";
    let done = place.say(&format!("{clean} --json")).json();
    let listed = serde_json::json!([{"version": newer, "objects": 1, "bytes": 4096}]);
    assert_eq!(done[0]["newer"], listed);
    assert_eq!(done[0]["versions"], serde_json::json!([]));
    let said = place.say("clean-up --data data").succeeds();
    assert!(
        said.stdout
            .contains(&format!("{newer} (1 objects, 4.0 KiB)")),
        "{said}"
    );
    assert_eq!(versions(&place), [first.clone(), newer.clone()]);

    publish(&place, "passes");
    let done = place.say(&format!("{clean} --json")).json();
    assert_eq!(done[0]["versions"], serde_json::json!([first, newer]));
    assert_eq!(done[0]["newer"], serde_json::json!([]));
    assert_eq!(versions(&place).len(), 1);
}

/// An object store without conditional writes can leave a first version that no pointer names.
#[test]
fn version_of_a_collection_never_published_is_listed() {
    let place = Workdir::new(COMPACTOR);
    let version = "20260101_000000_000000_00000000";
    let folder = format!("data/objects/words/snapshot/timestamped/{version}");
    place.say("doctor --data data").succeeds();
    std::fs::create_dir_all(place.path(&folder)).unwrap();
    place.write(&format!("{folder}/chroma.sqlite3"), "half");
    for line in ["clean-up", "clean-up words"] {
        let done = place.say(&format!("{line} --data data --json")).json();
        assert_eq!(done[0]["newer"][0]["version"], version);
    }
    let said = place.say("doctor --data data --json").succeeds();
    let found = findings(&said.stdout, "unpublished versions");
    assert!(found[0]["found"].as_str().unwrap().contains(version));
}

#[test]
fn doctor_names_the_holder_of_a_lock() {
    let (place, _) = published();
    let said = place.say("doctor --data data --json").succeeds();
    assert_eq!(findings(&said.stdout, "held locks")[0]["found"], "none");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids: Arc<dyn Ids> = Arc::new(RandomIds);
    let owner = ids.uuid();
    let options = LocalOptions {
        max_receives: 3,
        ..LocalOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = clock.wall();
    let term = Duration::from_secs(600);
    runtime.block_on(async {
        let data = place.path("data");
        let backend = LocalBackend::open(&data, clock.clone(), ids, options).unwrap();
        let words = "words".parse().unwrap();
        let acquired = backend.leases.acquire(&words, owner, term).await;
        assert_eq!(acquired.unwrap(), Acquired::Held);
    });
    let said = place.say("doctor --data data --json").succeeds();
    let found = findings(&said.stdout, "held locks");
    let text = found[0]["found"].as_str().unwrap();
    let end = text
        .strip_prefix(&format!("words: {owner} until "))
        .unwrap();
    assert!(*end >= *before.plus(term).to_iso(), "{text}");
}

#[test]
fn doctor_warns_of_runs_that_wait_after_a_failed_attempt() {
    let (place, _) = published();
    let pointer = "data/objects/words/snapshot/latest-pointer.txt";
    let version = std::fs::read_to_string(place.path(pointer)).unwrap();
    place.expects(&["CC-POINTER"]);
    place.write(pointer, "no version");
    directory(&place, "waits", "words", 3, 2);
    place.say("submit words=waits --data data").succeeds();
    place.say("run --drain --data data").exits(FAILURE);
    place.write(pointer, &version);
    let said = place.say("doctor --data data --json").succeeds();
    let found = findings(&said.stdout, "waiting runs");
    assert_eq!(found[0]["verdict"], "warning", "{found:?}");
    let text = found[0]["found"].as_str().unwrap();
    assert!(
        text.starts_with("words: 1 after a failed attempt: ") && text.contains("CC-POINTER"),
        "{text}"
    );
    place.say("run --drain --data data").succeeds();
    let said = place.say("doctor --data data --json").succeeds();
    assert_eq!(findings(&said.stdout, "waiting runs")[0]["verdict"], "ok");
}
