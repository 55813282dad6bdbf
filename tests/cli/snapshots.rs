//! `snapshots`: the answers to an operator who names a version that does not exist, or an old one.

use compactor_testkit::cli::{FAILURE, Workdir};
use compactor_testkit::fixture::words;

use crate::COMPACTOR;

const NEVER: &str = "20200101_000000_000000_00000000";

fn pointer(place: &Workdir) -> String {
    let path = place.path("data/objects/words/snapshot/latest-pointer.txt");
    std::fs::read_to_string(path).unwrap()
}

/// Publishes two versions. Returns the older one, then the newer one.
fn published_twice(place: &Workdir) -> [String; 2] {
    ["first", "second"].map(|delta| {
        words(place, delta);
        let submit = format!("submit words={delta} --data data");
        place.say(&submit).succeeds();
        place.say("run --drain --data data").succeeds();
        pointer(place)
    })
}

#[test]
fn unknown_version_is_refused_with_the_versions_that_exist() {
    let place = Workdir::new(COMPACTOR);
    let [_, newest] = published_twice(&place);
    let missing = "CC-VERSION-MISSING";
    let said = place.say(&format!("snapshots point words {NEVER} --data data"));
    let said = said.fails(FAILURE, missing);
    assert!(said.stderr.contains(&newest), "{said}");
    let said = place.say(&format!("snapshots point wrods {newest} --data data"));
    let said = said.fails(FAILURE, missing);
    assert!(said.stderr.contains("it has none"), "{said}");
    let said = place.say("snapshots accept wrods --data data");
    said.fails(FAILURE, "CC-NOTHING-PUBLISHED");
    assert_eq!(pointer(&place), newest);
}

#[test]
fn rollback_names_the_newer_version() {
    let place = Workdir::new(COMPACTOR);
    let [older, newest] = published_twice(&place);
    let back = format!("snapshots point words {older} --instead-of {newest} --data data");
    let said = place.say(&format!("{back} --json")).succeeds();
    assert_eq!(said.json()["newer"][0], newest.as_str());
    assert_eq!(pointer(&place), older);
    let said = place.say(&back).succeeds();
    assert!(said.stdout.contains(&format!("up to {newest}")), "{said}");
    let forth = format!("snapshots point words {newest} --instead-of {older} --data data");
    let said = place.say(&forth).succeeds();
    assert!(!said.stdout.contains("up to"), "{said}");
}
