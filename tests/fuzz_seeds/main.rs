//! The inputs that fuzzing starts from, findings of the past among them, and cuttings and flips of
//! them, run without the fuzzer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

#[path = "../../fuzz/checks/archives.rs"]
mod archives;
#[path = "../../fuzz/checks/index_files.rs"]
mod index_files;
#[path = "../../fuzz/checks/manifests.rs"]
mod manifests;
#[path = "../../fuzz/checks/messages.rs"]
mod messages;
#[path = "../../fuzz/checks/pickles.rs"]
mod pickles;
#[path = "../../fuzz/checks/pointers.rs"]
mod pointers;

use std::path::Path;

/// How many changes of a seed are tried, at most.
const CHANGES: usize = 1500;

#[test]
fn archives_of_any_bytes() {
    try_all("archives", archives::check);
}

#[test]
fn index_files_of_any_bytes() {
    try_all("index_files", index_files::check);
}

#[test]
fn manifests_of_any_bytes() {
    try_all("manifests", manifests::check);
}

#[test]
fn messages_of_any_bytes() {
    try_all("messages", messages::check);
}

#[test]
fn pickles_of_any_bytes() {
    try_all("pickles", pickles::check);
}

#[test]
fn pointers_of_any_bytes() {
    try_all("pointers", pointers::check);
}

fn try_all(target: &str, check: fn(&[u8])) {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let seeds = Path::new(&package).join("../../fuzz/seeds").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        check(&seed);
        for at in (0..seed.len()).step_by((seed.len() / CHANGES).max(1)) {
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            check(&changed);
            check(&seed[..at]);
        }
        count += 1;
    }
    assert!(count > 0, "there are no seeds for {target}");
}
