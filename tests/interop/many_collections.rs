//! Many small collections in one directory: each is merged with its own, and none costs what a whole
//! directory does. How long that takes is in `docs/benchmarks.md`.

use serde_json::json;

use crate::session::Session;

const COLLECTIONS: &str = "300";

fn make(session: &mut Session, name: &str, prefix: &str, records: &str) -> String {
    let dir = session.path(name);
    let crowd = ["--collections", COLLECTIONS, "--records", records];
    let mut arguments = vec!["make-crowd", "--out", &dir, "--prefix", prefix];
    arguments.extend(crowd);
    session.oracle("1.5.9", &arguments);
    dir
}

#[test]
fn three_hundred_collections_merge_with_their_own_namesakes() {
    let mut session = Session::new(97_000);
    let s = &mut session;
    let base = make(s, "base", "r", "5");
    let delta = make(s, "delta", "d", "3");
    let out = s.path("out");
    let merge = ["store", "merge", "--json", "--out", &out];
    let inputs = ["--base", &base, "--delta", &delta];
    s.compactor(&[merge.as_slice(), &inputs].concat());
    let found = s.oracle(
        "1.5.9",
        &["use-crowd", "--dir", &out, "--collections", COLLECTIONS],
    );
    let expected = json!({"counts": {"8": 300}, "strange": []});
    s.check(found == expected, &format!("{found:#}"));
}
