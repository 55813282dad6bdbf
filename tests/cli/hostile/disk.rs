//! Deltas that fill the working space.

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::{tamper, words};
use rusqlite::Connection;

use super::{dead_letters, deliver, drain, message, pack, part, send};
use crate::COMPACTOR;
use crate::unwritable_paths::Mounted;

const SETTINGS: &str = "[limits]\nratio = 100000\nvalue = \"100 MiB\"\n\
     [queue]\nvisibility = \"2s\"\npoll_wait = \"100ms\"\n\
     [retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n";

/// Parts of the log lines that a full disk may cause.
const TOLD: [&str; 5] = [
    "No space left",
    "disk is full",
    "CC-DELTA-ROOM",
    "CS-",
    "no run is to blame",
];

/// An archive of a few hundred kilobytes that unpacks to `mebibytes`.
fn large(place: &Workdir, name: &str, mebibytes: usize) -> Vec<u8> {
    let dir = words(place, name);
    tamper(
        &dir,
        &format!(
            "UPDATE embeddings_queue SET metadata = '{{\"chroma:document\": \"'
             || replace(hex(zeroblob({mebibytes} << 19)), '0', 'x') || '\"}}' WHERE seq_id = 3"
        ),
    );
    let archive = pack(&dir);
    std::fs::remove_dir_all(dir).unwrap();
    archive
}

#[test]
fn delta_that_fills_the_disk_does_not_stop_a_first_snapshot() {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", SETTINGS);
    words(&place, "good");
    place
        .say("submit words=good --data d --run-id good")
        .succeeds();
    let Some(_scratch) = Mounted::at(&place, "d/scratch", "100m") else {
        return;
    };
    place.expects(&TOLD);
    deliver(&place, "evil", &large(&place, "large", 70));
    // The hostile run comes first in the batch, before the run that makes the first snapshot.
    let queue = Connection::open(place.path("d/coordination.sqlite3")).unwrap();
    queue.execute("UPDATE messages SET id = -id", ()).unwrap();
    let mut drains = 0;
    while part(&place, "good")["state"] != "COMPLETED" || dead_letters(&place).is_empty() {
        drains += 1;
        assert!(drains < 30, "{}", part(&place, "good"));
        drain(&place, "--config c.toml");
    }
    assert_eq!(dead_letters(&place), ["CC-DELTA-ROOM"]);
    // The daemon published the good run once, in a version that names it.
    let versions = place.names_in("d/objects/words/snapshot/timestamped");
    assert_eq!(versions.len(), 1, "{versions:?}");
    let manifest = format!(
        "d/objects/words/snapshot/timestamped/{}/manifest.json",
        versions[0]
    );
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path(manifest)).unwrap()).unwrap();
    assert_eq!(manifest["applied_runs"], serde_json::json!(["good"]));
}

#[test]
fn delta_that_does_not_fit_alone_becomes_a_dead_letter() {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", SETTINGS);
    words(&place, "first");
    place
        .say("submit words=first --data d --run-id first")
        .succeeds();
    place.say("run --drain --data d").succeeds();
    let Some(_scratch) = Mounted::at(&place, "d/scratch", "100m") else {
        return;
    };
    place.expects(&TOLD);
    let archive = large(&place, "large", 70);
    deliver(&place, "evil-1", &archive);
    for run in ["evil-2", "evil-3"] {
        send(&place, &message(run, "words/delta/evil-1/"), "words");
    }
    words(&place, "good");
    place
        .say("submit words=good --data d --run-id good")
        .succeeds();
    // A daemon would try again by itself; a drain has to be repeated.
    let mut drains = 0;
    while part(&place, "good")["state"] != "COMPLETED" {
        drains += 1;
        assert!(drains < 20, "{}", part(&place, "good"));
        drain(&place, "--config c.toml");
    }
    while dead_letters(&place).len() < 3 {
        drains += 1;
        let said = drain(&place, "--config c.toml");
        assert!(drains < 30, "{:?} {said}", dead_letters(&place));
    }
    assert_eq!(dead_letters(&place), ["CC-DELTA-ROOM"; 3]);
}
