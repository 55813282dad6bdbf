//! A copy of a data directory works like the original: queue, records and published versions go on.

use std::process::Command;

use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::{directory, words};

use crate::COMPACTOR;

/// Copies with an option of `cp`: `-a` keeps times, `-r` does not.
fn copy(place: &Workdir, from: &str, to: &str, option: &str) {
    let mut cp = Command::new("cp");
    let [from, to] = [from, to].map(|name| place.path(name));
    assert!(cp.arg(option).args([from, to]).status().unwrap().success());
}

/// States of all runs, in alphabetical order.
fn states(place: &Workdir, data: &str) -> Vec<String> {
    let runs = place.say(&format!("runs --data {data} --json")).json();
    let states = runs.as_array().unwrap().iter().map(|run| {
        let state = run["parts"]["words"]["state"].as_str();
        state.unwrap().to_owned()
    });
    let mut states: Vec<_> = states.collect();
    states.sort();
    states
}

#[test]
fn daemon_merges_waiting_runs_in_a_copied_data_directory() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "first");
    directory(&place, "second", "words", 5, 2);
    directory(&place, "third", "words", 5, 2);
    for delta in ["first", "second"] {
        let submit = format!("submit words={delta} --data original");
        place.say(&submit).succeeds();
        place.say("run --drain --data original").succeeds();
    }
    // The copies receive this run from their queues.
    place.say("submit words=third --data original").succeeds();
    for (data, option) in [("kept", "-a"), ("without-times", "-r")] {
        copy(&place, "original", data, option);
        let said = place.say(&format!("run --drain --data {data}")).succeeds();
        assert!(said.stdout.starts_with("1 runs completed"), "{said}");
        assert_eq!(states(&place, data), ["COMPLETED"; 3], "{data}");
    }
}

/// Metadata marks a pointer as written by this program. Without the mark, a version that lacks its manifest
/// would count as another writer's, and the completed runs as lost.
#[test]
fn own_pointer_is_recognised_in_a_copied_data_directory() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CC-MANIFEST-MISSING"]);
    for delta in ["first", "second"] {
        words(&place, delta);
        let submit = format!("submit words={delta} --data original");
        place.say(&submit).succeeds();
        place.say("run --drain --data original").succeeds();
    }
    words(&place, "third");
    place.say("submit words=third --data original").succeeds();
    let snapshot = "objects/words/snapshot";
    let pointer = place.path(format!("original/{snapshot}/latest-pointer.txt"));
    let version = std::fs::read_to_string(pointer).unwrap();
    let manifest = format!("original/{snapshot}/timestamped/{version}/manifest.json");
    std::fs::remove_file(place.path(manifest)).unwrap();
    for (data, option) in [("kept", "-a"), ("without-times", "-r")] {
        copy(&place, "original", data, option);
        let said = place.say(&format!("run --drain --data {data}"));
        said.fails(FAILURE, "CC-MANIFEST-MISSING");
        let expected = ["COMPLETED", "COMPLETED", "PENDING"];
        assert_eq!(states(&place, data), expected, "{data}");
    }
}

/// The queue, locks and records are lost with the database. The published versions are not.
#[test]
fn damaged_coordination_database_is_refused_and_can_be_moved_away() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "first");
    place.say("submit words=first --data data").succeeds();
    place.say("run --drain --data data").succeeds();
    let database = place.path("data/coordination.sqlite3");
    std::fs::write(&database, [0; 8192]).unwrap();
    let said = place
        .say("runs --data data")
        .fails(FAILURE, "CC-LOCAL-DATABASE");
    assert!(said.stderr.contains("move it away"), "{said}");
    std::fs::rename(&database, place.path("data/damaged")).unwrap();
    directory(&place, "second", "words", 5, 2);
    place.say("submit words=second --data data").succeeds();
    let said = place.say("run --drain --data data").succeeds();
    assert!(said.stdout.starts_with("1 runs completed"), "{said}");
}
