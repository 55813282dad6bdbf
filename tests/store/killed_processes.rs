//! A process that is killed at any moment while it installs index files leaves the old ones or the new
//! ones, never a mixture. Running the command again repairs the directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chroma_store::{Operation, Patch, Space, VerifyLevel, verify};
use compactor_testkit::index_files;
use rustix::process::{Pid, Signal, kill_process};

use crate::directory::{Recipe, WORDS, compactor, names_in, record, sql};

const KILLS: u64 = 25;

#[test]
fn killed_rebuild_leaves_all_old_or_all_new_index_files() {
    let root = tempfile::tempdir().unwrap();
    let operations: Vec<Operation> = (0..1500_u16)
        .map(|n| {
            let vector: Vec<f32> = (0..32).map(|at| f32::from(n ^ (at * 37)) % 97.0).collect();
            Operation::upsert(format!("r{n}"), &vector, Patch::new())
        })
        .collect();
    let recipe = Recipe {
        space: Space::L2,
        ..Recipe::of(operations)
    };
    let dir = recipe.make(root.path(), "dir");
    let path = dir.to_str().unwrap();
    assert_eq!(compactor(&["store", "flush", path]).0, 0);
    let vectors = index_files::read(&dir, WORDS).unwrap().vectors;
    let (mut finished, mut cut) = (0, 0);
    for round in 0..KILLS {
        // Gives the database something to write, so that it has a journal.
        sql(&dir, "UPDATE embeddings_queue SET created_at = created_at");
        let mut child = Command::new(env!("CARGO_BIN_EXE_chroma-compactor"))
            .args(["store", "rebuild", path])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "a real process runs meanwhile")]
        std::thread::sleep(Duration::from_millis(3 + round * 8));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            finished += 1;
        } else {
            cut += 1;
        }
        match verify(&dir, VerifyLevel::Full) {
            Ok(report) => {
                assert!(report.is_sound(), "round {round}: {:?}", report.problems);
                assert_eq!(index_files::read(&dir, WORDS).unwrap().vectors, vectors);
            }
            Err(error) => assert_eq!(error.code(), "CS-HOT-JOURNAL", "round {round}: {error}"),
        }
        let (code, _, errors) = compactor(&["store", "flush", path]);
        assert_eq!(code, 0, "round {round}: {errors}");
        assert_eq!(index_files::read(&dir, WORDS).unwrap().vectors, vectors);
    }
    assert!(cut > 0, "{finished} finished, none was killed");
    assert_eq!(compactor(&["store", "rebuild", path]).0, 0);
    let folders = std::fs::read_dir(&dir)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 1, "what killed processes left is gone");
}

/// A process that is killed before it writes into its journal leaves an empty one.
#[test]
fn empty_journal_does_not_block_a_flush() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "dir");
    let path = dir.to_str().unwrap();
    let journal = dir.join("chroma.sqlite3-journal");
    for content in [&b""[..], &[0; 512]] {
        std::fs::write(&journal, content).unwrap();
        let (code, _, errors) = compactor(&["store", "flush", path]);
        assert_eq!(code, 0, "{} bytes: {errors}", content.len());
        assert!(!journal.exists());
        assert!(verify(&dir, VerifyLevel::Full).unwrap().is_sound());
    }
}

/// Starts the binary and sends it SIGINT after `after` milliseconds. Gives its exit code and its
/// standard error.
fn interrupted(arguments: &[&str], after: u64) -> (Option<i32>, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_chroma-compactor"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "a real process runs meanwhile")]
    std::thread::sleep(Duration::from_millis(after));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), errors)
}

fn many(root: &Path, name: &str, records: u16) -> PathBuf {
    let operations = (0..records).map(|n| record(&format!("{name}{n}"), 4, n as i16));
    Recipe::of(operations.collect()).make(root, name)
}

#[test]
fn interrupted_merge_leaves_a_whole_result_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let base = many(root.path(), "base", 2000);
    let delta = many(root.path(), "delta", 1500);
    let out = root.path().join("out");
    let arguments = [
        "store",
        "merge",
        "--base",
        base.to_str().unwrap(),
        "--delta",
        delta.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let mut cut = 0;
    for round in 0..KILLS {
        let (code, errors) = interrupted(&arguments, 5 + round * 20);
        match code {
            Some(0) => {}
            Some(130) => cut += 1,
            // SIGINT came before the process listened for it.
            None => {}
            other => panic!("round {round}: {other:?}: {errors}"),
        }
        if out.exists() {
            assert!(verify(&out, VerifyLevel::Full).unwrap().is_sound());
            std::fs::remove_dir_all(&out).unwrap();
        }
        assert_eq!(names_in(root.path()), ["base", "delta"], "round {round}");
    }
    assert!(cut > 3, "{cut}");
}

#[test]
fn interrupted_flush_names_the_journal_and_says_to_run_again() {
    let root = tempfile::tempdir().unwrap();
    let mut cut = 0;
    for round in 0..KILLS / 2 {
        let dir = many(root.path(), &format!("dir{round}"), 2000);
        let path = dir.to_str().unwrap();
        let (code, errors) = interrupted(&["store", "flush", path], 5 + round * 25);
        if code == Some(130) {
            cut += 1;
            for part in [path, "journal", "run the command again"] {
                assert!(errors.contains(part), "{part}: {errors}");
            }
        }
        assert_eq!(compactor(&["store", "flush", path]).0, 0);
        assert!(verify(&dir, VerifyLevel::Full).unwrap().is_sound());
    }
    assert!(cut > 1, "{cut}");
}
