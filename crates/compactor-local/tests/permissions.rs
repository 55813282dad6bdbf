//! The rights of other accounts on a data directory. There is one test only, because the umask belongs to
//! the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test reports by panicking, and says what it leaves out"
)]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use compactor_core::ports::{Attributes, Condition, ObjectStore, PutOutcome, Queue};
use compactor_local::{Access, LocalBackend, LocalOptions, OpenError, RandomIds, SystemClock};
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

const OTHER_USER: u32 = 4321;
const FOLDER: &str = "LOCAL_TEST_FOLDER";

fn try_open(root: &Path, access: impl Into<Option<Access>>) -> Result<LocalBackend, OpenError> {
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(RandomIds));
    let options = LocalOptions {
        access: access.into(),
        ..LocalOptions::default()
    };
    LocalBackend::open(root, clock, ids, options)
}

fn open(root: &Path, access: impl Into<Option<Access>>) -> LocalBackend {
    try_open(root, access).unwrap()
}

/// Makes every kind of file that a data directory has.
async fn fill(backend: &LocalBackend, round: &str) {
    let metadata: Attributes = [("round".to_owned(), round.to_owned())].into();
    for key in ["words/snapshot/pointer", "plain"] {
        let body = round.to_owned().into();
        let put = backend
            .objects
            .put(key, body, Condition::Always, &metadata)
            .await;
        assert!(matches!(put.unwrap(), PutOutcome::Written(_)));
    }
    backend.queue.send(round, &Attributes::new()).await.unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder and everything below it.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(all_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Checks the mode of every file and folder, while the database is open.
fn check(root: &Path, access: Access, what: &str) {
    let (folders, files) = match access {
        Access::Owner => (0o700, 0o600),
        Access::Group => (0o750, 0o640),
        Access::All => (0o755, 0o644),
    };
    let all = all_below(root);
    for name in [
        "objects/words/snapshot/pointer",
        ".locks/open",
        "coordination.sqlite3-wal",
        "coordination.sqlite3-shm",
    ] {
        assert!(all.contains(&root.join(name)), "{what}: {name}");
    }
    assert!(
        all.iter()
            .any(|path| path.extension().is_some_and(|x| x == "json"))
    );
    for path in all {
        let is_object = path.starts_with(root.join("objects")) || path == root;
        let expected = match (is_object, path.is_dir()) {
            (true, true) => folders,
            (true, false) => files,
            (false, true) => 0o700,
            (false, false) => 0o600,
        };
        let found = mode(&path);
        assert_eq!(found, expected, "{what}: {path:?} has {found:o}");
    }
}

async fn new_stores(place: &Path) {
    for mask in [0o000, 0o022, 0o077] {
        for access in [Access::Owner, Access::Group, Access::All] {
            let what = format!("{access:?}, umask {mask:03o}");
            umask(Mode::from_raw_mode(mask));
            let root = place.join(format!("{access:?}/{mask:o}/root"));
            let backend = open(&root, access);
            fill(&backend, "one").await;
            fill(&backend, "two").await;
            check(&root, access, &what);
            let made = root.parent().unwrap();
            assert_eq!(
                mode(made),
                mode(&root),
                "{what}: the new parent has the same mode"
            );
        }
    }
}

/// A store of an earlier build, whose modes came from the umask.
async fn an_older_store(place: &Path) {
    umask(Mode::from_raw_mode(0o022));
    let root = place.join("older");
    let backend = open(&root, Access::Owner);
    fill(&backend, "one").await;
    let pointer = root.join("objects/words/snapshot/pointer");
    for path in all_below(&root) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let again = open(&root, Access::Owner);
    assert_eq!(mode(&root), 0o755, "it is the administrator's");
    for folder in ["objects", ".meta", ".tmp", ".locks"] {
        assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
    }
    for path in all_below(&root.join(".locks")) {
        assert_eq!(mode(&path) & 0o077, 0, "{path:?}");
    }
    for suffix in ["", "-wal", "-shm"] {
        let path = root.join(format!("coordination.sqlite3{suffix}"));
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
    assert_eq!(mode(&pointer), 0o600, "it was chosen so");
    // A process that has it open goes on.
    fill(&backend, "two").await;
    fill(&again, "three").await;
    assert_eq!(mode(&pointer), 0o600);
    assert_eq!(mode(pointer.parent().unwrap()), 0o700);
    drop((backend, again));

    let group = open(&root, Access::Group);
    assert_eq!(mode(&pointer), 0o640, "existing objects too");
    fill(&group, "four").await;
    // A command without a chosen access keeps it.
    fill(&open(&root, None), "five").await;
    assert_eq!(mode(&root.join("objects")), 0o750);
    assert_eq!(mode(pointer.parent().unwrap()), 0o750);
    assert_eq!(mode(&pointer), 0o640);
}

fn a_root_that_others_can_write_to(place: &Path) {
    let root = place.join("shared");
    std::fs::create_dir(&root).unwrap();
    for open_to in [0o775, 0o777, 0o1777] {
        set_mode(&root, open_to);
        let error = try_open(&root, Access::Owner).unwrap_err();
        assert_eq!(error.code(), "CC-LOCAL-WRITABLE");
        let text = error.to_string();
        let expected = format!("(mode {open_to:04o})");
        assert!(
            text.contains(&expected) && text.contains("shared"),
            "{text}"
        );
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    }
    open(&root.join("below"), Access::Owner);
}

/// Files that root makes in a store of another user belong to that user.
async fn a_store_of_another_user(place: &Path) {
    umask(Mode::from_raw_mode(0o022));
    let root = place.join("other");
    std::fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    fill(&open(&root, Access::Owner), "one").await;
    for path in all_below(&root) {
        let owner = std::fs::symlink_metadata(&path).unwrap().uid();
        assert_eq!(owner, OTHER_USER, "{path:?}");
    }
    set_mode(place, 0o755);
    // This user does not own the store and is not root.
    let asked = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "other_accounts_get_exactly_the_chosen_access",
            "--nocapture",
        ])
        .env(FOLDER, &root)
        .uid(OTHER_USER + 1)
        .gid(OTHER_USER + 1)
        .status();
    match asked {
        Ok(status) => assert!(status.success()),
        Err(error) => eprintln!("NOT RUN: another user cannot run this test ({error})"),
    }
}

#[tokio::test]
async fn other_accounts_get_exactly_the_chosen_access() {
    if let Ok(root) = std::env::var(FOLDER) {
        let error = try_open(root.as_ref(), Access::Owner).unwrap_err();
        assert_eq!(error.code(), "CC-LOCAL-WRITABLE", "{error}");
        let owner = format!("it belongs to user {OTHER_USER}");
        assert!(error.to_string().contains(&owner), "{error}");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    new_stores(place.path()).await;
    an_older_store(place.path()).await;
    a_root_that_others_can_write_to(place.path());
    match geteuid().is_root() {
        true => a_store_of_another_user(place.path()).await,
        false => eprintln!("NOT RUN: only root can make a store of another user"),
    }
}
