//! `clean-up` shows which versions are due, deletes them with `--yes`, and refuses wrong arguments.

use compactor_testkit::cli::{CONFIGURATION, FAILURE, USAGE, Workdir};
use compactor_testkit::fixture::words;

use crate::COMPACTOR;

fn published(count: usize) -> (Workdir, Vec<String>) {
    let place = Workdir::new(COMPACTOR);
    for number in 0..count {
        let name = format!("d{number}");
        words(&place, &name);
        place
            .say(&format!("submit words={name} --data data"))
            .succeeds();
        place.say("run --drain --data data").succeeds();
    }
    let versions = versions(&place);
    assert_eq!(versions.len(), count);
    (place, versions)
}

fn versions(place: &Workdir) -> Vec<String> {
    place.names_in("data/objects/words/snapshot/timestamped")
}

#[test]
fn clean_up_shows_what_is_due_and_deletes_only_with_yes() {
    let (place, versions_before) = published(4);
    let said = place.say("clean-up --data data").succeeds();
    assert!(
        said.stdout.starts_with("words: would delete 0 versions"),
        "{said}"
    );
    let line = "clean-up --data data --keep 2 --older-than 0s";
    for dry in [" --force", " --force --dry-run"] {
        let said = place.say(&format!("{line}{dry}")).succeeds();
        assert!(
            said.stdout.starts_with("words: would delete 2 versions"),
            "{said}"
        );
        assert!(said.stdout.contains(&versions_before[0]), "{said}");
        assert_eq!(versions(&place), versions_before);
    }
    // Readers may still use these versions. A configuration may not set such values either.
    for yes in ["", " --yes"] {
        place
            .say(&format!("{line}{yes}"))
            .fails(CONFIGURATION, "CC-CONFIG")
            .naming(&["retention.age", "--force"]);
    }
    place
        .say("clean-up --data data --keep 0 --yes")
        .fails(CONFIGURATION, "CC-CONFIG")
        .naming(&["retention.versions"]);
    assert_eq!(versions(&place), versions_before);
    let done = place.say(&format!("{line} --yes --force --json")).json();
    assert_eq!(done[0]["collection"], "words");
    assert_eq!(done[0]["versions"], serde_json::json!(versions_before[..2]));
    assert_eq!(versions(&place), versions_before[2..]);
    words(&place, "more");
    place.say("submit words=more --data data").succeeds();
    place.say("run --drain --data data").succeeds();
}

#[test]
fn clean_up_with_wrong_arguments_or_retention_is_refused() {
    let (place, _) = published(1);
    place
        .say("clean-up pages --data data")
        .fails(USAGE, "CC-USAGE")
        .naming(&["pages"]);
    place
        .say("clean-up --data data --yes --dry-run")
        .exits(USAGE);
    place
        .say("clean-up --data data --older-than soon")
        .exits(USAGE);
    place.write("c.toml", "[retention]\nage = \"1m\"\n");
    place
        .say("clean-up --data data --config c.toml")
        .fails(CONFIGURATION, "CC-CONFIG")
        .naming(&["retention.age", "5m"]);
}

#[test]
fn clean_up_reports_deletions_although_another_collection_fails() {
    let (place, before) = published(3);
    let garbage = place.path("data/objects/zebras/snapshot/latest-pointer.txt");
    std::fs::create_dir_all(garbage.parent().unwrap()).unwrap();
    std::fs::write(&garbage, "garbage").unwrap();
    let line = "clean-up --data data --keep 1 --older-than 0s --force --yes";
    let said = place.say(line).exits(FAILURE);
    assert!(said.stderr.contains("CC-POINTER"), "{said}");
    let told = "words: deleted 2 versions";
    assert!(said.stdout.starts_with(told), "{said}");
    assert_eq!(versions(&place), before[2..]);
}
