//! A base as chromadb 0.x can leave it: index files with vectors of deleted records. Every version
//! lives with them, so they must not keep the collection from being merged.

use crate::case::{Case, has_errors};
use crate::session::Session;

fn ghosts(case: Case) -> Case {
    Case {
        make_base: "make-ghost-base",
        ..case
    }
}

#[test]
fn v0_6_3_base_with_vectors_of_deleted_records_is_merged() {
    ghosts(Case::below(70_100, ["0.6.3"; 2], "l2")).run();
}

#[test]
fn verification_warns_of_vectors_of_deleted_records() {
    let mut session = Session::new(70_200);
    let s = &mut session;
    let (base, seed) = (s.path("base"), s.seed().to_string());
    let arguments = [
        "make-ghost-base",
        "--out",
        &base,
        "--seed",
        &seed,
        "--space",
        "cosine",
        "--dim",
        "8",
        "--records",
        "150",
        "--threshold",
        "40",
    ];
    let made = s.oracle("0.6.3", &arguments);
    let ghosts = made["ghosts"].as_array().unwrap().len();
    let report = s.compactor(&["store", "verify", &base, "--full", "--json"]);
    s.check(!has_errors(&report), &format!("{report:#}"));
    let told = report["problems"][0]["detail"].as_str().unwrap_or_default();
    s.check(
        told.contains(&ghosts.to_string()),
        &format!("{ghosts} ghosts, {report:#}"),
    );
}
