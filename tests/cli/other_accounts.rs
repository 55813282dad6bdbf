//! Other accounts of the machine: what they may read, and how little they can disturb.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::words;

use crate::COMPACTOR;

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The paths and permissions of `root` and of every folder and file below it.
fn modes(root: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut paths = vec![root.to_path_buf()];
    while let Some(path) = paths.pop() {
        let meta = path.symlink_metadata().unwrap();
        found.push((path.display().to_string(), meta.mode() & 0o777));
        if meta.is_dir() {
            paths.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found
}

#[test]
fn data_directory_is_closed_to_other_accounts_by_default() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.say("submit words=w --data d").succeeds();
    place.say("run --drain --data d").succeeds();
    for (path, mode) in modes(&place.path("d")) {
        assert_eq!(mode & 0o077, 0, "{path}: {mode:o}");
    }
}

#[test]
fn access_setting_opens_only_objects_to_readers() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.write("c.toml", "[storage]\naccess = \"all\"\n");
    place
        .say("submit words=w --data d --config c.toml")
        .succeeds();
    place.say("run --drain --data d --config c.toml").succeeds();
    for (path, mode) in modes(&place.path("d/objects")) {
        assert_eq!(
            mode & 0o055,
            if Path::new(&path).is_dir() {
                0o055
            } else {
                0o044
            },
            "{path}"
        );
        assert_eq!(mode & 0o022, 0, "{path}: {mode:o}");
    }
    for inner in [".locks", ".meta", ".tmp", "scratch", "coordination.sqlite3"] {
        for (path, mode) in modes(&place.path("d").join(inner)) {
            assert_eq!(mode & 0o077, 0, "{path}: {mode:o}");
        }
    }
    assert_eq!(place.path("d").metadata().unwrap().mode() & 0o777, 0o755);
}

fn mode_of(place: &Workdir, path: &str) -> u32 {
    place.path(path).metadata().unwrap().mode() & 0o777
}

#[test]
fn access_setting_applies_to_existing_files_and_lasts() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.say("submit words=w --data d").succeeds();
    place.say("run --drain --data d").succeeds();
    let pointer = "d/objects/words/snapshot/latest-pointer.txt";
    assert_eq!(
        [mode_of(&place, "d"), mode_of(&place, pointer)],
        [0o700, 0o600]
    );
    place.write("all.toml", "[storage]\naccess = \"all\"\n");
    place
        .say("run --drain --data d --config all.toml")
        .succeeds();
    let open = [0o755, 0o644];
    assert_eq!([mode_of(&place, "d"), mode_of(&place, pointer)], open);
    // Commands without the setting keep the permissions, and write new files with the same ones.
    for line in [
        "runs --data d",
        "doctor --data d",
        "submit words=w --data d",
        "run --drain --data d",
    ] {
        place.say(line).succeeds();
        assert_eq!(
            [mode_of(&place, "d/objects"), mode_of(&place, pointer)],
            open,
            "{line}"
        );
    }
    place.write("owner.toml", "[storage]\naccess = \"owner\"\n");
    place.say("runs --data d --config owner.toml").succeeds();
    assert_eq!(
        [mode_of(&place, "d/objects"), mode_of(&place, pointer)],
        [0o700, 0o600]
    );
}

#[test]
fn folder_that_other_accounts_can_write_to_is_refused() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.say("submit words=w --data d").succeeds();
    for mode in [0o777, 0o770, 0o1777] {
        chmod(&place.path("d"), mode);
        for line in [
            "run --drain --data d",
            "submit words=w --data d",
            "runs --data d",
        ] {
            let said = place.say(line).fails(FAILURE, "CC-LOCAL-WRITABLE");
            said.naming(&["other accounts can write", &format!("mode {mode:04o}")]);
        }
    }
    chmod(&place.path("d"), 0o700);
    std::fs::create_dir(place.path("open")).unwrap();
    chmod(&place.path("open"), 0o1777);
    place.write("c.toml", "[worker]\nscratch = \"open\"\n");
    let said = place.say("run --drain --data d --config c.toml");
    said.fails(FAILURE, "CC-LOCAL-WRITABLE").naming(&["open"]);
    place.write("c.toml", "[worker]\nscratch = \"open/own\"\n");
    place.say("run --drain --data d --config c.toml").succeeds();
    assert_eq!(
        place.path("open/own").metadata().unwrap().mode() & 0o777,
        0o700
    );
}

#[test]
fn lock_file_that_is_never_freed_fails_the_daemon_and_is_named() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.say("submit words=w --data d").succeeds();
    let lock = std::fs::File::open(place.path("d/.locks/open")).unwrap();
    lock.lock().unwrap();
    let said = place
        .say("run --drain --data d")
        .fails(FAILURE, "CC-LOCAL-LOCKED");
    said.naming(&["d/.locks/open", "fuser"]);
    drop(lock);
    place.say("run --drain --data d").succeeds();
}

#[test]
fn fifo_or_link_in_place_of_an_object_is_not_opened() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CC-PORT-CORRUPT"]);
    words(&place, "w");
    place.say("submit words=w --data d").succeeds();
    let pointer = place.path("d/objects/words/snapshot/latest-pointer.txt");
    std::fs::create_dir_all(pointer.parent().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pointer).status();
    assert!(made.unwrap().success());
    let said = place
        .say("run --drain --data d")
        .fails(FAILURE, "CC-PORT-CORRUPT");
    said.naming(&["is a FIFO, not a file"]);
    std::fs::remove_file(&pointer).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &pointer).unwrap();
    let said = place
        .say("run --drain --data d")
        .fails(FAILURE, "CC-PORT-CORRUPT");
    said.naming(&["is a symbolic link, not a file"]);
    std::fs::remove_file(&pointer).unwrap();
    place.say("run --drain --data d").succeeds();
}
