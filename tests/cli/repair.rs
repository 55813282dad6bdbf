//! `store repair` says what it would do, does it with `--yes`, and keeps a copy of the directory.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use compactor_testkit::cli::{FAILURE, USAGE, Workdir};
use compactor_testkit::fixture::{OTHER_TEXT, tamper, words};

use crate::COMPACTOR;

fn database(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("chroma.sqlite3")).unwrap()
}

#[test]
fn repair_leaves_a_sound_directory_unchanged() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    let before = database(&dir);
    for line in ["store repair dir", "store repair dir --yes"] {
        let said = place.say(line).succeeds();
        assert!(said.stdout.contains("nothing to repair"), "{said}");
    }
    let told = place.say("store repair dir --yes --json").json();
    assert_eq!(
        (&told["mended"], &told["before"]),
        (&false.into(), &().into())
    );
    assert_eq!(database(&dir), before);
    assert_eq!(place.names_in("."), ["dir"]);
}

#[test]
fn repair_says_what_it_would_do_and_does_it_only_with_yes() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    tamper(&dir, OTHER_TEXT);
    let before = database(&dir);
    let said = place.say("store repair dir").exits(FAILURE);
    for part in ["ERROR I9", "to do: rebuild the full-text index", "--yes"] {
        assert!(said.stdout.contains(part), "{part}: {said}");
    }
    assert_eq!(database(&dir), before);
    let said = place.say("store repair dir --yes").succeeds();
    assert!(said.stdout.contains("dir.before-repair"), "{said}");
    assert_eq!(place.names_in("."), ["dir", "dir.before-repair"]);
    assert_eq!(database(&place.path("dir.before-repair")), before);
    place.say("store verify dir --full").succeeds();

    // A second repair does not replace the kept copy.
    tamper(&dir, OTHER_TEXT);
    let said = place.say("store repair dir --yes");
    said.fails(FAILURE, "CS-EXISTS")
        .naming(&["dir.before-repair"]);
    assert_eq!(database(&place.path("dir.before-repair")), before);
}

#[test]
fn repair_removes_orphans_only_on_request() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    tamper(&dir, OTHER_TEXT);
    std::fs::create_dir(dir.join("drift")).unwrap();
    place.write("dir/drift/file", "of nobody");
    place.write("dir/notes.txt", "of the operator");
    place.say("store repair dir --yes").succeeds();
    assert_eq!(
        place.names_in("dir"),
        ["chroma.sqlite3", "drift", "notes.txt"]
    );
    assert_eq!(place.names_in("dir/drift"), ["file"]);
    std::fs::remove_dir_all(place.path("dir.before-repair")).unwrap();
    let said = place
        .say("store repair dir --remove-orphans")
        .exits(FAILURE);
    assert!(said.stdout.contains("notes.txt"), "{said}");
    place
        .say("store repair dir --remove-orphans --yes")
        .succeeds();
    assert_eq!(place.names_in("dir"), ["chroma.sqlite3"]);
    let kept = place.names_in("dir.before-repair");
    assert_eq!(kept, ["chroma.sqlite3", "drift", "notes.txt"]);
}

#[test]
fn directory_that_cannot_be_repaired_is_left_alone() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    tamper(&dir, OTHER_TEXT);
    tamper(&dir, "DELETE FROM embeddings_queue WHERE seq_id = 2");
    let before = database(&dir);
    let said = place.say("store repair dir --yes").exits(FAILURE);
    assert!(
        said.stdout.contains("not all of this can be repaired"),
        "{said}"
    );
    assert_eq!(database(&dir), before);
    assert_eq!(place.names_in("."), ["dir"]);
}

#[test]
fn repair_of_a_sound_directory_vacuums_on_request() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    tamper(
        &dir,
        "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(500000)); DROP TABLE t",
    );
    let before = database(&dir).len();
    place.say("store repair dir --vacuum").exits(FAILURE);
    place.say("store repair dir --vacuum --yes").succeeds();
    assert!(database(&dir).len() + 500_000 <= before);
    place.say("store verify dir --full").succeeds();
}

/// An idle client holds no lock, and would go on with the files that it has read.
#[test]
fn directory_that_a_client_has_open_is_left_alone() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    tamper(&dir, OTHER_TEXT);
    let before = database(&dir);
    let open = std::fs::File::open(dir.join("chroma.sqlite3")).unwrap();
    let own = format!("pid {}", std::process::id());
    for line in ["repair dir --yes", "vacuum dir", "flush dir", "rebuild dir"] {
        let said = place.say(&format!("store {line}"));
        said.fails(FAILURE, "CS-IN-USE").naming(&[&own]);
        assert_eq!(database(&dir), before, "{line}");
    }
    assert_eq!(place.names_in("."), ["dir"]);
    // Commands that only read are allowed.
    place.say("store repair dir").exits(FAILURE);
    place.say("store info dir").exits(FAILURE);
    drop(open);
    place.say("store repair dir --yes").succeeds();
}

/// The service that owns the directory must still be able to write, and other accounts must not read.
#[test]
fn vacuum_and_repair_keep_owners_and_permissions() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "dir");
    place.say("store flush dir").succeeds();
    let set = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).unwrap();
    };
    set(&dir, 0o700);
    set(&dir.join("chroma.sqlite3"), 0o660);
    if rustix::process::geteuid().is_root() {
        for path in [dir.clone(), dir.join("chroma.sqlite3")] {
            std::os::unix::fs::chown(path, Some(1234), Some(1234)).unwrap();
        }
    }
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o777)
    };
    let both = || [of(&dir), of(&dir.join("chroma.sqlite3"))];
    let before = both();
    place.say("store vacuum dir").succeeds();
    assert_eq!(both(), before);
    tamper(&dir, OTHER_TEXT);
    place.say("store repair dir --yes").succeeds();
    assert_eq!(both(), before);
}

#[test]
fn salvage_into_the_damaged_directory_is_refused() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let said = place.say("store repair dir --salvage dir/new");
    said.fails(USAGE, "CC-USAGE").naming(&["dir/new", "inside"]);
    assert_eq!(place.names_in("dir"), ["chroma.sqlite3"]);
}
