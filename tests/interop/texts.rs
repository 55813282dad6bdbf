//! Full text that this program wrote in many merges, used by chromadb's own SQLite, which is older. It
//! must find the rows that it deletes, and lose no deletion when it merges the index.

use crate::session::{COMPACTOR, Session};

fn texts(version: &str, seed: u64, more: &[&str]) {
    let mut session = Session::new(seed);
    let (seed, out) = (session.seed().to_string(), session.path("out"));
    let mut arguments = vec!["texts", "--binary", COMPACTOR, "--out", &out];
    arguments.extend(["--seed", &seed]);
    arguments.extend(more);
    session.oracle(version, &arguments);
}

#[test]
fn v0_6_3_writes_and_searches_full_text_after_many_merges() {
    texts("0.6.3", 80_102, &[]);
}

#[test]
fn v1_5_9_writes_and_searches_full_text_after_many_merges() {
    texts("1.5.9", 80_200, &[]);
}

#[test]
fn v0_5_23_deletes_documents_with_nul_after_a_rebuild() {
    let arguments = ["--nul", "--merges", "3", "--then", "rebuild"];
    texts("0.5.23", 80_300, &arguments);
}

#[test]
fn v0_6_3_deletes_documents_with_nul_after_a_flush() {
    let arguments = ["--nul", "--merges", "3", "--then", "flush"];
    texts("0.6.3", 80_400, &arguments);
}

#[test]
fn v1_0_21_deletes_documents_with_nul_after_merges() {
    texts("1.0.21", 80_500, &["--nul", "--merges", "3"]);
}

#[test]
fn v1_5_9_deletes_documents_with_nul_after_merges() {
    texts("1.5.9", 80_600, &["--nul", "--merges", "3"]);
}
