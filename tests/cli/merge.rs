//! `store merge`: inputs that it refuses. A failure leaves no files behind.

use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::{directory, tamper, words};

use crate::COMPACTOR;

/// Checks that a command fails with `code`, as text and as JSON, and leaves no files behind.
#[track_caller]
fn refused(place: &Workdir, line: &str, code: &str, parts: &[&str]) {
    let before = place.names_in(".");
    place.say(line).fails(FAILURE, code).naming(parts);
    place
        .say(&format!("{line} --json"))
        .fails_in_json(FAILURE, code)
        .naming(parts);
    assert_eq!(place.names_in("."), before, "{line}");
}

#[test]
fn merge_makes_a_new_directory_and_leaves_its_inputs() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    words(&place, "first");
    words(&place, "second");
    let line = "store merge --base base --delta first --delta second --out out";
    let said = place.say(line).succeeds();
    for part in [
        "words",
        "operations",
        "10 records before, 30 after",
        "verified: out",
    ] {
        assert!(said.stdout.contains(part), "{part}: {said}");
    }
    assert_eq!(said.stderr, "");
    assert_eq!(place.names_in("."), ["base", "first", "out", "second"]);
    place.say("store verify out --full").succeeds();
    let both = "store merge --base base --delta first second --out again --json";
    let merged = place.say(both).json();
    assert_eq!(merged["out"], "again");
    assert_eq!(merged["collections"][0]["records_after"], 30);
    assert_eq!(
        merged["collections"][0]["deltas"][1]["effects"]["added"],
        10
    );
}

#[test]
fn merge_never_replaces_an_existing_path() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    place.write("file", "text");
    std::fs::create_dir(place.path("empty")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("link")).unwrap();
    for out in ["base", "file", "empty", "link", "empty/../base"] {
        let line = format!("store merge --base base --delta base --out {out}");
        refused(&place, &line, "CS-EXISTS", &[out]);
    }
    assert_eq!(std::fs::read_to_string(place.path("file")).unwrap(), "text");
}

#[test]
fn missing_input_of_a_merge_is_named() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    let line = "store merge --base nobase --delta base --out out";
    refused(&place, line, "CS-NOT-CHROMA", &["nobase"]);
    let line = "store merge --base base --delta nodelta --out out";
    refused(&place, line, "CS-NOT-CHROMA", &["nodelta"]);
    let line = "store merge --base base --delta base nodelta --out out";
    refused(&place, line, "CS-NOT-CHROMA", &["nodelta"]);
    let line = "store merge --base base --delta base --out no/such/folder/out";
    refused(&place, line, "CC-IO", &["no/such/folder"]);
}

#[test]
fn missing_collection_is_refused_with_those_that_exist() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    directory(&place, "lines", "lines", 3, 2);
    let line = "store merge --base base --delta lines --out out";
    refused(
        &place,
        line,
        "CS-COLLECTION-MISSING",
        &["base:", "`lines`", "it has: words"],
    );
    let line = "store merge --base base --delta lines --collection words --out out";
    refused(
        &place,
        line,
        "CS-COLLECTION-MISSING",
        &["lines:", "`words`", "it has: lines"],
    );
    let line = "store merge --base base --delta base --collection pages --out out";
    refused(
        &place,
        line,
        "CS-COLLECTION-MISSING",
        &["base:", "`pages`", "it has: words"],
    );
}

/// The good delta beside the bad one is not merged either.
#[test]
fn bad_delta_fails_the_whole_merge() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    words(&place, "good");
    directory(&place, "wide", "words", 3, 5);
    let line = "store merge --base base --delta good --delta wide --out out";
    refused(&place, line, "CS-DIMENSION", &["`words`", "5", "2"]);
    let hot = words(&place, "hot");
    std::fs::write(hot.join("chroma.sqlite3-journal"), "x").unwrap();
    let line = "store merge --base base --delta good --delta hot --out out";
    refused(
        &place,
        line,
        "CS-HOT-JOURNAL",
        &["hot/chroma.sqlite3-journal"],
    );
    let line = "store merge --base hot --delta good --out out";
    refused(
        &place,
        line,
        "CS-HOT-JOURNAL",
        &["hot/chroma.sqlite3-journal"],
    );
}

/// The error must not name the temporary copy, which is gone when the user reads the message.
#[test]
fn bad_base_is_named_by_the_path_that_the_user_gave() {
    let place = Workdir::new(COMPACTOR);
    let base = words(&place, "base");
    tamper(&base, "UPDATE collections SET dimension = NULL");
    words(&place, "good");
    let before = place.names_in(".");
    let line = "store merge --base base --delta good --out out";
    let said = place.say(line).fails(FAILURE, "CS-INCONSISTENT");
    assert!(!said.stderr.contains(".chroma-merge-"), "{said}");
    said.naming(&["base:", "no dimension"]);
    assert_eq!(place.names_in("."), before);
}
