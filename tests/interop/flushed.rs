//! Directories whose vectors this program put into index files, searched by real chromadb: its
//! recall must be within 0.005 of that in the graph which the same chromadb builds of the same
//! records, at once and after twenty merges with updates and deletions; and it must be able to
//! write on.
//!
//! `CHROMA_INTEROP_ALL=1` runs the twenty merges for every combination of dimension, space and
//! data, and both engines everywhere.

use crate::session::{COMPACTOR, Session};

const DIMENSIONS: &str = "64,384,1536";

fn all() -> bool {
    std::env::var_os("CHROMA_INTEROP_ALL").is_some()
}

/// One graph of each combination.
fn flushed(version: &str, seed: u64) {
    let mut session = Session::new(seed);
    let (seed, out) = (session.seed().to_string(), session.path("out"));
    let engines = if all() {
        "native,rebuild,hnsw-rs"
    } else {
        "native"
    };
    let mut arguments = vec![
        "flushed", "--binary", COMPACTOR, "--out", &out, "--seed", &seed,
    ];
    arguments.extend([
        "--records",
        "1000",
        "--dim",
        DIMENSIONS,
        "--engine",
        engines,
    ]);
    session.oracle(version, &arguments);
}

/// The other engine's graphs.
fn rebuilt(version: &str, seed: u64) {
    let mut session = Session::new(seed);
    let (seed, out) = (session.seed().to_string(), session.path("out"));
    let mut arguments = vec![
        "flushed", "--binary", COMPACTOR, "--out", &out, "--seed", &seed,
    ];
    arguments.extend([
        "--records",
        "1000",
        "--dim",
        "64",
        "--engine",
        "rebuild,hnsw-rs",
    ]);
    session.oracle(version, &arguments);
}

/// Twenty merges of each combination of the three lists.
fn flushes(version: &str, seed: u64, [dimensions, spaces, data]: [&str; 3]) {
    let mut session = Session::new(seed);
    let (seed, out) = (session.seed().to_string(), session.path("out"));
    let lists = if all() {
        [DIMENSIONS, "l2,ip,cosine", "clustered,uniform"]
    } else {
        [dimensions, spaces, data]
    };
    let mut arguments = vec![
        "flushes", "--binary", COMPACTOR, "--out", &out, "--seed", &seed,
    ];
    arguments.extend(["--records", "300", "--dim", lists[0], "--space", lists[1]]);
    arguments.extend(["--data", lists[2]]);
    session.oracle(version, &arguments);
}

#[test]
fn v0_6_3_finds_as_much_in_flushed_graphs_as_in_its_own() {
    flushed("0.6.3", 50_100);
}

#[test]
fn v1_0_21_finds_as_much_in_flushed_graphs_as_in_its_own() {
    flushed("1.0.21", 50_200);
}

#[test]
fn v1_3_3_finds_as_much_in_flushed_graphs_as_in_its_own() {
    flushed("1.3.3", 50_300);
}

#[test]
fn v1_5_9_finds_as_much_in_flushed_graphs_as_in_its_own() {
    flushed("1.5.9", 50_400);
}

#[test]
fn v1_5_9_finds_as_much_in_graphs_rebuilt_by_either_engine() {
    rebuilt("1.5.9", 50_500);
}

#[test]
fn v0_6_3_finds_as_much_in_graphs_rebuilt_by_either_engine() {
    rebuilt("0.6.3", 50_600);
}

#[test]
fn v0_6_3_searches_well_after_twenty_merges() {
    flushes("0.6.3", 51_100, ["64", "l2,cosine", "clustered"]);
}

#[test]
fn v1_0_21_searches_well_after_twenty_merges() {
    flushes("1.0.21", 51_200, ["384", "ip,cosine", "clustered"]);
}

#[test]
fn v1_3_3_searches_well_after_twenty_merges() {
    flushes("1.3.3", 51_300, ["64", "ip,cosine", "uniform"]);
}

#[test]
fn v1_5_9_searches_well_after_twenty_merges() {
    flushes("1.5.9", 51_400, ["1536", "l2,cosine", "clustered"]);
}
