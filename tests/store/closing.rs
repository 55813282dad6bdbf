//! Closed means closed (invariant I5).

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chroma_store::{CloseOptions, ClosedStore, OpenOptions, Pause, Store, StoreError};
use rusqlite::Connection;

use crate::directory::{Recipe, WORDS, names_in, record};

/// Set in the child that plays another process.
const HOLDER: &str = "STORE_TEST_HOLD";

/// Counts waits instead of waiting.
#[derive(Default)]
struct CountedPause(AtomicU32);

impl Pause for CountedPause {
    fn pause(&self, _: Duration) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn closed_store_leaves_no_descriptor_and_no_side_file() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    store.write(WORDS, [record("new", 4, 1)]).unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    assert_eq!(names_in(closed.dir()), ["chroma.sqlite3"]);
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let inside = open
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter(|target| target.starts_with(&dir))
        .count();
    assert_eq!(inside, 0);
}

#[test]
fn store_with_an_open_descriptor_of_this_process_is_not_closed() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    std::fs::create_dir(dir.join("folder")).unwrap();
    let path = dir.join("folder/file");
    let _open = std::fs::File::create(&path).unwrap();
    let store = Store::open(&dir, OpenOptions::default()).unwrap();
    let error = store.close(&CloseOptions::default()).unwrap_err();
    assert_eq!(error.code(), "CS-STILL-OPEN");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn store_locked_by_this_process_is_not_closed() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    let other = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM embeddings;")
        .unwrap();
    let pause = CountedPause::default();
    let options = CloseOptions {
        wait: Duration::from_secs(1),
        poll: Duration::from_millis(50),
        pause: &pause,
    };
    let error = ClosedStore::prove(&dir, &options).unwrap_err();
    assert_eq!(error.code(), "CS-LOCKED");
    assert_eq!(
        pause.0.load(Ordering::SeqCst),
        20,
        "it polls up to the bound, no further"
    );
    other.execute_batch("ROLLBACK").unwrap();
    other.close().unwrap();
    ClosedStore::prove(&dir, &options).unwrap();
}

#[test]
fn store_locked_by_another_process_is_not_closed_and_names_its_pid() {
    for statement in [
        "BEGIN; SELECT count(*) FROM embeddings;",
        "BEGIN IMMEDIATE; DELETE FROM embeddings;",
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = Recipe::default().make(root.path(), "store");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "closing::child_process_holds_the_lock_until_told",
                "--nocapture",
            ])
            .env(HOLDER, dir.join("chroma.sqlite3"))
            .env("STORE_TEST_STATEMENT", statement)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("holding")));

        let pause = CountedPause::default();
        let options = CloseOptions {
            pause: &pause,
            ..CloseOptions::default()
        };
        let error = ClosedStore::prove(&dir, &options).unwrap_err();
        let StoreError::Locked { path, holders, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(path, &dir.join("chroma.sqlite3"));
        assert_eq!(holders, &[child.id()], "{statement}");
        assert!(
            error.to_string().contains(&format!("pid {}", child.id())),
            "{error}"
        );

        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        child.wait().unwrap();
        ClosedStore::prove(&dir, &options).unwrap();
    }
}

/// Not a test of its own: `store_locked_by_another_process_is_not_closed_and_names_its_pid` starts it.
#[test]
fn child_process_holds_the_lock_until_told() {
    let Some(path) = std::env::var_os(HOLDER) else {
        return;
    };
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys=OFF").unwrap();
    connection
        .execute_batch(&std::env::var("STORE_TEST_STATEMENT").unwrap())
        .unwrap();
    println!("holding");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn dropped_store_keeps_nothing_of_a_failed_write() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    let before = crate::content::read(&dir);
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    // The second operation fails: the first must not stay.
    let bad = [record("new", 4, 1), record("short", 3, 1)];
    assert_eq!(
        store.write(WORDS, bad).unwrap_err().code(),
        "CS-VECTOR-LENGTH"
    );
    drop(store);
    assert_eq!(crate::content::read(&dir), before);
}
