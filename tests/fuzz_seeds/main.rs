//! The seeds of the fuzzers, and cut and flipped copies of them, run without a fuzzer.
//!
//! A seed `found-…` is an earlier finding, named for its fault. The others were written by hand or by
//! chromadb.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::path::PathBuf;

use chroma_store::Space;
use chroma_store::fuzzing::{
    embedding_functions, index_parameters, read_index_files, write_index_files,
};
use compactor_testkit::fuzz::{
    archives, configurations, index_files, manifests, messages, pickles, pointers,
};
use compactor_testkit::workspace::root;

/// How many changes of a seed are tried, at most.
const CHANGES: usize = 1500;

#[test]
fn archives_of_any_bytes_stay_within_folder_and_limits() {
    try_all("archives", archives::check);
}

#[test]
fn configurations_of_any_bytes_keep_no_embedding_function() {
    try_all("configurations", configurations::check);
}

#[test]
fn index_files_of_any_bytes_are_read_or_refused() {
    try_all("index_files", index_files::check);
}

#[test]
fn manifests_of_any_bytes_are_read_or_refused() {
    try_all("manifests", manifests::check);
}

#[test]
fn messages_of_any_bytes_are_decoded_or_refused() {
    try_all("messages", messages::check);
}

#[test]
fn pickles_of_any_bytes_are_read_or_refused() {
    try_all("pickles", pickles::check);
}

#[test]
fn pointers_of_any_bytes_are_read_or_refused() {
    try_all("pointers", pointers::check);
}

/// A fuzzer that starts from refused input gets nowhere.
#[test]
fn index_file_seeds_are_read_without_error() {
    for (path, seed) in seeds("index_files") {
        let space = match path.to_str().unwrap().ends_with("cosine") {
            true => Space::Cosine,
            false => Space::L2,
        };
        let dir = tempfile::tempdir().unwrap();
        write_index_files(dir.path(), &seed).unwrap();
        read_index_files(dir.path(), &dir.path().join("again"), space)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A fuzzer that starts from refused extension headers gets nowhere. The names say what is in each seed.
#[test]
fn archive_seeds_with_extension_headers_unpack_or_give_their_code() {
    let expected = [
        ("a_long_link", "unpacked"),
        ("a_long_name", "unpacked"),
        ("a_long_name_at_the_end", "CS-ARCHIVE-DAMAGED"),
        ("a_long_name_of_70000_bytes", "CS-ARCHIVE-ENTRY"),
        ("a_long_name_of_80000_bytes", "CS-ARCHIVE-LIMIT"),
        ("a_long_name_that_leads_out", "CS-ARCHIVE-ENTRY"),
        ("a_long_part", "CS-ARCHIVE-ENTRY"),
        ("a_pax_path_and_size", "unpacked"),
        ("a_pax_path_that_leads_out", "CS-ARCHIVE-ENTRY"),
        ("a_pax_size_of_the_rest", "CS-ARCHIVE-DAMAGED"),
        ("a_pax_size_that_disagrees", "unpacked"),
        ("a_sparse_file", "CS-ARCHIVE-ENTRY"),
        ("pax_headers_for_all", "CS-ARCHIVE-ENTRY"),
        ("pax_records_of_80000_bytes", "CS-ARCHIVE-LIMIT"),
        ("pax_records_that_are_broken", "unpacked"),
        ("two_long_names", "CS-ARCHIVE-DAMAGED"),
    ];
    let seeds = seeds("archives");
    for (name, expected) in expected {
        let (_, seed) = seeds.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        let unpacked = archives::unpacked(seed);
        let code = unpacked.map_or_else(|error| error.code(), |_| "unpacked");
        assert_eq!(code, expected, "{name}");
    }
}

#[test]
fn configuration_seeds_are_read() {
    for (path, seed) in seeds("configurations") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let column = std::str::from_utf8(&seed).unwrap();
        if name.starts_with("chromadb-") {
            index_parameters(None, Some(column)).expect(name);
        }
        let has_one = !embedding_functions(column).is_empty();
        let is_without = ["-0.6.3", "-plain", "-default", "none_last", "of_our_own"];
        let is_without = is_without.iter().any(|end| name.ends_with(end));
        assert_eq!(has_one, !is_without, "{name}");
    }
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("fuzz/seeds").join(target);
    let paths = std::fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let seeds: Vec<_> = paths
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    assert!(!seeds.is_empty(), "there are no seeds for {target}");
    seeds
}

fn try_all(target: &str, check: fn(&[u8])) {
    for (_, seed) in seeds(target) {
        check(&seed);
        for at in (0..seed.len()).step_by((seed.len() / CHANGES).max(1)) {
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            check(&changed);
            check(&seed[..at]);
        }
    }
}
