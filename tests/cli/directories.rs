//! `store info`, `store verify` and `store create` on sound, damaged, missing and forbidden directories.

use std::os::unix::fs::PermissionsExt as _;

use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::{OTHER_TEXT, tamper, words};
use serde_json::Value;

use crate::COMPACTOR;

#[test]
fn path_that_is_no_chroma_directory_is_refused() {
    let place = Workdir::new(COMPACTOR);
    place.write("file", "text");
    std::fs::create_dir(place.path("empty")).unwrap();
    for command in ["info", "verify", "verify --full"] {
        for target in ["missing", "file", "empty"] {
            let line = format!("store {command} {target}");
            let said = place.say(&line).fails(FAILURE, "CS-NOT-CHROMA");
            said.naming(&[target, "chromadb.PersistentClient(path=...)"]);
            let said = place.say(&format!("{line} --json"));
            said.fails_in_json(FAILURE, "CS-NOT-CHROMA");
        }
    }
    assert_eq!(place.names_in("."), ["empty", "file"]);
    assert_eq!(place.names_in("empty"), [""; 0]);
}

#[test]
fn info_shows_the_collections_of_a_directory() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let said = place.say("store info dir").succeeds();
    for part in ["schema level L15", "COLLECTION", "words", "10", "l2"] {
        assert!(said.stdout.contains(part), "{part}: {said}");
    }
    assert_eq!(said.stderr, "");
    let info = place.say("store info dir --json").json();
    let found = &info["collections"][0];
    assert_eq!(
        (&found["name"], &found["records"], &found["dimension"]),
        (&"words".into(), &10.into(), &2.into())
    );
    assert_eq!(info["problems"], Value::Array(Vec::new()));
    assert_eq!(place.names_in("dir"), ["chroma.sqlite3"]);
}

#[test]
fn sound_directory_passes_verify() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let said = place.say("store verify dir --full").succeeds();
    assert!(
        said.stdout.contains("sound") && !said.stdout.contains("NOT"),
        "{said}"
    );
    let said = place.say("store verify dir").succeeds();
    assert!(said.stdout.contains("--full"), "{said}");
    let report = place.say("store verify dir --full --json").json();
    assert_eq!(report["problems"], Value::Array(Vec::new()));
}

/// Searches of readers would not match the documents.
#[test]
fn verify_finds_a_changed_full_text_index() {
    let changes = [
        // The text beside the index.
        "UPDATE embedding_fulltext_search_content SET c0 = 'other' WHERE id = 3",
        // The index with its text, by the interface that chromadb uses.
        OTHER_TEXT,
        // One row is missing.
        "DELETE FROM embedding_fulltext_search WHERE rowid = 3",
        // Another document.
        "UPDATE embedding_metadata SET string_value = 'other'
         WHERE id = 3 AND key = 'chroma:document'",
        // Parts of the index, without its text.
        "DELETE FROM embedding_fulltext_search_docsize WHERE id = 3",
        "DELETE FROM embedding_fulltext_search_data WHERE id > 10",
    ];
    for change in changes {
        let place = Workdir::new(COMPACTOR);
        tamper(&words(&place, "dir"), change);
        let said = place.say("store verify dir --full");
        assert_eq!(said.exit, Some(FAILURE), "{change}: {said}");
        let said = place.say("store verify dir --full --json").exits(FAILURE);
        assert!(said.stdout.is_empty() != said.stderr.is_empty(), "{said}");
    }
}

#[test]
fn problems_of_a_directory_go_to_standard_output() {
    let place = Workdir::new(COMPACTOR);
    tamper(&words(&place, "dir"), OTHER_TEXT);
    let said = place.say("store verify dir --full").exits(FAILURE);
    assert!(said.stdout.contains("ERROR I9"), "{said}");
    assert!(said.stdout.contains("NOT SOUND"), "{said}");
    let said = place.say("store verify dir --full --json").exits(FAILURE);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["problems"][0]["severity"], "error", "{said}");
    assert_eq!(said.stderr, "");
    for line in ["store info dir", "store info dir --json"] {
        let said = place.say(line).exits(FAILURE);
        assert!(said.stdout.contains("I9"), "{said}");
    }
}

#[test]
fn folder_without_permission_is_not_called_missing() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let closed = place.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::rename(place.path("dir"), closed.join("dir")).unwrap();
    let permissions = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&closed, permissions(0o000)).unwrap();
    for line in [
        "store info closed/dir",
        "store verify closed/dir",
        "store flush closed/dir",
        "store create closed/new --collection words",
    ] {
        let said = place.say_unprivileged(line).fails(FAILURE, "CS-IO");
        said.naming(&["closed", "Permission denied", "permissions"]);
    }
    std::fs::set_permissions(&closed, permissions(0o700)).unwrap();
}

#[test]
fn damage_and_side_files_have_their_error_codes() {
    let place = Workdir::new(COMPACTOR);
    let hot = words(&place, "hot");
    std::fs::write(hot.join("chroma.sqlite3-journal"), "x").unwrap();
    let torn = words(&place, "torn");
    let bytes = std::fs::read(torn.join("chroma.sqlite3")).unwrap();
    std::fs::write(torn.join("chroma.sqlite3"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::create_dir(place.path("text")).unwrap();
    place.write("text/chroma.sqlite3", &"not a database\n".repeat(99));
    for (dir, code) in [
        ("hot", "CS-HOT-JOURNAL"),
        ("torn", "CS-TRUNCATED"),
        ("text", "CS-DAMAGED"),
    ] {
        for command in ["info", "verify --full"] {
            let line = format!("store {command} {dir}");
            place.say(&line).fails(FAILURE, code).naming(&[dir]);
            place
                .say(&format!("{line} --json"))
                .fails_in_json(FAILURE, code);
        }
    }
}

#[test]
fn create_makes_a_directory_and_never_replaces_one() {
    let place = Workdir::new(COMPACTOR);
    let said = place
        .say("store create new --collection words --space ip")
        .succeeds();
    assert!(
        said.stdout.contains("words") && said.stdout.contains("L15"),
        "{said}"
    );
    place.say("store verify new --full").succeeds();
    let before = std::fs::read(place.path("new/chroma.sqlite3")).unwrap();
    let again = "store create new --collection words --space ip";
    place
        .say(again)
        .fails(FAILURE, "CS-EXISTS")
        .naming(&["new"]);
    place
        .say(&format!("{again} --json"))
        .fails_in_json(FAILURE, "CS-EXISTS");
    assert_eq!(
        std::fs::read(place.path("new/chroma.sqlite3")).unwrap(),
        before
    );
    let made = place
        .say("store create other --collection lines --level l06 --json")
        .json();
    assert_eq!(
        (&made["schema_level"], &made["space"]),
        (&"L06".into(), &"l2".into())
    );
}
