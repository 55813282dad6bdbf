//! `store info` on directories of every version says what chromadb knows about them.

use rusqlite::Connection;
use serde_json::Value;

use crate::case::{collections, has_errors};
use crate::session::Session;

#[test]
fn v0_5_23_info_agrees_with_chromadb() {
    check(50_100, "0.5.23", "L06", "cosine");
}

#[test]
fn v0_6_3_info_agrees_with_chromadb() {
    check(50_200, "0.6.3", "L06", "l2");
}

#[test]
fn v1_0_21_info_agrees_with_chromadb() {
    check(50_300, "1.0.21", "L10", "ip");
}

#[test]
fn v1_3_3_info_agrees_with_chromadb() {
    check(50_400, "1.3.3", "L13", "cosine");
}

#[test]
fn v1_5_9_info_agrees_with_chromadb() {
    check(50_500, "1.5.9", "L15", "ip");
}

/// `words` is far above the threshold, `lines` below it.
fn check(seed: u64, version: &str, level: &str, space: &str) {
    let mut session = Session::new(seed);
    let s = &mut session;
    let (base, ids, seed) = (s.path("base"), s.path("ids.json"), s.seed().to_string());
    let data = [
        "--seed",
        &seed,
        "--space",
        space,
        "--dim",
        "6",
        "--threshold",
        "90",
        "--records",
        "250",
        "--collections",
        "words,lines:30",
    ];
    let mut arguments = vec!["make-base", "--out", &base, "--ids-out", &ids];
    arguments.extend(data);
    s.oracle(version, &arguments);

    let before = s.bytes_of(&base);
    let info = s.compactor(&["store", "info", &base, "--json"]);
    s.check_untouched(&base, &before);
    s.check(info["schema_level"] == level, &format!("{info:#}"));
    s.check(!has_errors(&info), &format!("{info:#}"));
    let live: Value = serde_json::from_str(&std::fs::read_to_string(&ids).unwrap()).unwrap();
    let names: Vec<_> = collections(&info).map(|found| &found["name"]).collect();
    s.check(names == ["lines", "words"], &format!("{names:?}"));
    for found in collections(&info) {
        let name = found["name"].as_str().unwrap();
        let count = |key: &str| found["vectors"][key].as_u64().unwrap();
        let records = live[name].as_array().unwrap().len() as u64;
        let (indexed, unflushed, logged) =
            (count("indexed"), count("unflushed"), log_rows(&base, name));
        let holds = [
            ("records", found["records"] == records),
            ("dimension", found["dimension"] == 6),
            ("space", found["config"]["space"] == space),
            ("threshold", found["config"]["sync_threshold"] == 90),
            ("a vector for each record", indexed + unflushed >= records),
            ("unflushed no more than logged", unflushed <= logged),
        ];
        let holds = holds.into_iter().chain(if name == "words" {
            [
                ("indexed", indexed > 0),
                ("deleted", count("indexed_deleted") > 0),
            ]
        } else {
            [
                ("nothing indexed", indexed == 0),
                ("all unflushed", unflushed == logged),
            ]
        });
        for (what, holds) in holds {
            s.check(
                holds,
                &format!("{what}: {records} live, {logged} logged, {found:#}"),
            );
        }
    }
}

/// Rows of the collection's log.
fn log_rows(dir: &str, name: &str) -> u64 {
    let connection = Connection::open(format!("{dir}/chroma.sqlite3")).unwrap();
    connection
        .query_row(
            "SELECT count(*) FROM embeddings_queue q JOIN collections c
             ON q.topic LIKE '%/' || c.id WHERE c.name = ?1",
            [name],
            |row| row.get(0),
        )
        .unwrap()
}
