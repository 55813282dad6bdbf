//! Collections of one name in several databases and tenants are different collections, as for chromadb.

use serde_json::{Value, json};

use crate::session::Session;

const BASE: [&str; 3] = [
    "default_tenant/default_database=d:3",
    "default_tenant/east=e:4",
    "beta/east=b:5",
];

fn make(session: &mut Session, version: &str, name: &str, places: &[&str]) -> String {
    let dir = session.path(name);
    let mut arguments = vec!["make-places", "--out", &dir];
    arguments.extend(places.iter().flat_map(|place| ["--place", place]));
    session.oracle(version, &arguments);
    dir
}

/// The ids that chromadb finds in each collection.
fn used(session: &mut Session, version: &str, dir: &str) -> Value {
    let mut arguments = vec!["use-places", "--dir", dir];
    for place in BASE {
        arguments.extend(["--place", place.split('=').next().unwrap()]);
    }
    session.oracle(version, &arguments)
}

/// A figure of each collection, in the order of `store info`.
fn figures(session: &mut Session, dir: &str, pointer: &str) -> Vec<Value> {
    let info = session.compactor(&["store", "info", "--json", dir]);
    let collections = info["collections"].as_array().unwrap().iter();
    collections
        .map(|one| json!([one["tenant"], one["database"], one.pointer(pointer)]))
        .collect()
}

#[test]
fn deltas_merge_into_the_collection_of_their_own_database() {
    for version in ["0.6.3", "1.5.9"] {
        let mut session = Session::new(95_000);
        let s = &mut session;
        let base = make(s, version, "base", &BASE);
        let records = figures(s, &base, "/records");
        let expected = [
            json!(["default_tenant", "default_database", 3]),
            json!(["beta", "east", 5]),
            json!(["default_tenant", "east", 4]),
        ];
        s.check(records == expected, &format!("{records:?}"));

        let delta = make(
            s,
            version,
            "delta",
            &["beta/east=x:2", "default_tenant/east=y:1"],
        );
        let out = s.path("out");
        s.compactor(&[
            "store", "merge", "--json", "--base", &base, "--delta", &delta, "--out", &out,
        ]);
        let found = used(s, version, &out);
        let expected = json!({
            "default_tenant/default_database": ["d0", "d1", "d2"],
            "default_tenant/east": ["e0", "e1", "e2", "e3", "y0"],
            "beta/east": ["b0", "b1", "b2", "b3", "b4", "x0", "x1"],
        });
        s.check(found == expected, &format!("{found:#}"));

        // With `--tenant`, the delta's collection of that tenant alone.
        let out = s.path("beta");
        s.compactor(&[
            "store", "merge", "--json", "--base", &base, "--delta", &delta, "--out", &out,
            "--tenant", "beta",
        ]);
        let records = figures(s, &out, "/records");
        let east = &records[2];
        s.check(
            *east == json!(["default_tenant", "east", 4]),
            &format!("{east}"),
        );

        // A collection of the same name in another database does not take the delta.
        let only = make(s, version, "only", &["beta/east=b:5"]);
        let other = make(s, version, "other", &BASE[..1]);
        let out = s.path("no");
        let code = s.compactor_refuses(&[
            "store", "merge", "--json", "--base", &only, "--delta", &other, "--out", &out,
        ]);
        s.check(code == "CS-COLLECTION-MISSING", &code);
    }
}

#[test]
fn ambiguous_collection_name_is_refused_and_tenant_resolves_it() {
    let mut session = Session::new(95_100);
    let s = &mut session;
    let base = make(s, "1.5.9", "base", &BASE);
    let before = s.bytes_of(&base);
    for command in [
        &["flush"][..],
        &["rebuild", "--database", "east"],
        &["query", "--like", "b0"],
    ] {
        let mut arguments = vec!["store", command[0], "--json", &base];
        arguments.extend(["--collection", "places"]);
        arguments.extend(&command[1..]);
        let code = s.compactor_refuses(&arguments);
        s.check(code == "CS-COLLECTION-AMBIGUOUS", &code);
    }
    s.check_untouched(&base, &before);
    let place = ["--collection", "places", "--tenant", "beta"];
    let mut arguments = vec!["store", "query", "--json", &base, "--like", "b0"];
    arguments.extend(place);
    let found = s.compactor(&arguments);
    s.check(found["neighbours"][0]["id"] == "b0", &format!("{found:#}"));

    let mut arguments = vec!["store", "flush", "--json", &base];
    arguments.extend(place);
    s.compactor(&arguments);
    let indexed = figures(s, &base, "/vectors/indexed");
    s.check(
        indexed
            .iter()
            .map(|one| &one[2])
            .eq(&[json!(0), json!(5), json!(0)]),
        &format!("{indexed:?}"),
    );
    s.compactor(&["store", "flush", "--json", &base]);
    let indexed = figures(s, &base, "/vectors/indexed");
    s.check(
        indexed
            .iter()
            .map(|one| &one[2])
            .eq(&[json!(3), json!(5), json!(4)]),
        &format!("{indexed:?}"),
    );
    let found = used(s, "1.5.9", &base);
    s.check(
        found["beta/east"].as_array().unwrap().len() == 5,
        &format!("{found:#}"),
    );
}
