//! From `submit` to `runs`: packing and announcing deltas, merging them, and listing the outcome.

use compactor_testkit::cli::{FAILURE, USAGE, Workdir};
use compactor_testkit::fixture::{OTHER_TEXT, directory, tamper, words};
use serde_json::Value;

use crate::COMPACTOR;

/// The parts of all runs, newest run first, as (collection, part).
fn parts(runs: &Value) -> Vec<(String, Value)> {
    let runs = runs.as_array().unwrap();
    let parts = runs
        .iter()
        .flat_map(|run| run["parts"].as_object().unwrap());
    parts
        .map(|(name, part)| (name.clone(), part.clone()))
        .collect()
}

#[test]
fn malformed_argument_of_submit_is_refused_with_the_right_form() {
    let place = Workdir::new(COMPACTOR);
    for (line, part) in [
        ("submit words", "COLLECTION=DIR"),
        ("submit words=", "COLLECTION=DIR"),
        ("submit =dir", "name"),
        ("submit wo/rds=dir", "wo/rds"),
        ("submit words=dir --run-id a/b", "a/b"),
    ] {
        let said = place.say(line).exits(USAGE).naming(&[part]);
        assert_eq!(said.stdout, "", "{said}");
    }
    words(&place, "dir");
    let said = place
        .say("submit words=dir words=dir")
        .fails(USAGE, "CC-USAGE");
    said.naming(&["`words`", "twice"]);
    assert_eq!(place.names_in("."), ["dir"]);
}

#[test]
fn bad_delta_is_refused_and_not_announced() {
    let place = Workdir::new(COMPACTOR);
    directory(&place, "lines", "lines", 3, 2);
    words(&place, "good");
    std::fs::write(words(&place, "hot").join("chroma.sqlite3-journal"), "x").unwrap();
    tamper(&words(&place, "bad"), OTHER_TEXT);
    std::fs::create_dir(place.path("empty")).unwrap();
    for (line, code, parts) in [
        (
            "words=lines",
            "CS-COLLECTION-MISSING",
            &["lines:", "`words`", "it has: lines"][..],
        ),
        (
            "lines=lines words=lines",
            "CS-COLLECTION-MISSING",
            &["`words`"],
        ),
        (
            "words=hot",
            "CS-HOT-JOURNAL",
            &["hot/chroma.sqlite3-journal", "client.close()"],
        ),
        ("words=missing", "CS-NOT-CHROMA", &["missing"]),
        ("words=empty", "CS-NOT-CHROMA", &["empty"]),
        ("words=bad", "CS-INCONSISTENT", &["bad:", "full text"]),
        ("lines=lines words=missing", "CS-NOT-CHROMA", &["missing"]),
    ] {
        let line = format!("submit --data d {line}");
        place.say(&line).fails(FAILURE, code).naming(parts);
        place
            .say(&format!("{line} --json"))
            .fails_in_json(FAILURE, code)
            .naming(parts);
    }
    place.say("submit --data d words=good").succeeds();
    let runs = place.say("runs --data d --json").json();
    assert_eq!(parts(&runs).len(), 1, "only the good one: {runs:#}");
}

#[test]
fn delta_that_another_process_has_open_is_refused() {
    let place = Workdir::new(COMPACTOR);
    let dir = words(&place, "open");
    place.say("store flush open").succeeds();
    let index = std::fs::read_dir(&dir).unwrap().find_map(|entry| {
        let folder = entry.unwrap().path();
        folder.is_dir().then(|| folder.join("data_level0.bin"))
    });
    let own = std::process::id().to_string();
    for path in [dir.join("chroma.sqlite3"), index.unwrap()] {
        let held = std::fs::File::open(&path).unwrap();
        let said = place.say("submit --data d words=open");
        let name = path.file_name().unwrap().to_str().unwrap();
        said.fails(FAILURE, "CS-IN-USE").naming(&[name, &own]);
        drop(held);
    }
    place.say("submit --data d words=open").succeeds();
    let runs = place.say("runs --data d --json").json();
    assert_eq!(parts(&runs).len(), 1, "{runs:#}");
}

#[test]
fn delta_that_no_daemon_would_take_is_not_uploaded() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "base");
    // The archive then has index files as further entries.
    place.say("store flush base").succeeds();
    directory(&place, "wide", "words", 3, 5);
    for (limit, code, part) in [
        ("archive = \"1 KiB\"", "CC-TOO-LARGE", "1024 bytes"),
        (
            "delta = \"1 KiB\"",
            "CS-ARCHIVE-LIMIT",
            "1024 unpacked bytes",
        ),
        ("entries = 1", "CS-ARCHIVE-LIMIT", "1 entries"),
    ] {
        place.write("c.toml", &format!("[limits]\n{limit}\n"));
        let said = place.say("submit --config c.toml --data d words=base");
        said.fails(FAILURE, code).naming(&[part]);
    }
    place.say("submit --data d words=base").succeeds();
    place.say("run --data d --drain").succeeds();
    let said = place.say("submit --data d words=wide");
    let said = said.fails(FAILURE, "CS-DIMENSION");
    said.naming(&["dimension 5 of the delta differs from 2"]);
    let runs = place.say("runs --data d --json").json();
    assert_eq!(parts(&runs).len(), 1, "only the good one: {runs:#}");
    let deltas = place.names_in("d/objects/words/delta");
    assert_eq!(deltas.len(), 1, "{deltas:?}");
}

#[test]
fn submitted_run_is_merged_and_listed() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "first");
    directory(&place, "second", "lines", 4, 3);
    let said = place
        .say("submit --data d words=first --run-id one")
        .succeeds();
    assert!(said.stdout.starts_with("submitted run one\n"), "{said}");
    let submitted = place
        .say("submit --data d words=first lines=second --json")
        .json();
    let second = submitted["run_id"].as_str().unwrap().to_owned();
    let prefix = submitted["prefixes"]["lines"].as_str().unwrap();
    assert!(
        prefix.ends_with('/') && prefix.contains(&second),
        "{submitted}"
    );
    let said = place.say("runs --data d").succeeds();
    assert_eq!(said.stdout.matches("PENDING").count(), 3, "{said}");

    let summary = place.say("run --data d --drain --json").json();
    assert_eq!(
        (&summary["completed"], &summary["failed"]),
        (&3.into(), &0.into())
    );
    assert_eq!(summary["published"], 2);
    let runs = place.say("runs --data d --json").json();
    assert_eq!(runs[0]["key"]["run_id"], second.as_str());
    assert_eq!(runs[1]["key"]["run_id"], "one");
    let parts = parts(&runs);
    assert_eq!(parts.len(), 3);
    for (name, part) in parts {
        assert_eq!(part["state"], "COMPLETED", "{runs:#}");
        let version = part["version"].as_str().unwrap();
        let dir = format!("d/objects/{name}/snapshot/timestamped/{version}");
        let info = place.say(&format!("store info {dir} --json")).json();
        let records = if name == "words" { 10 } else { 4 };
        assert_eq!(info["collections"][0]["records"], records);
    }
    let said = place.say("runs --data d").succeeds();
    assert_eq!(said.stdout.matches("COMPLETED").count(), 3, "{said}");
    let newest = place.say("runs --data d --json --limit 1").json();
    assert_eq!(newest.as_array().unwrap().len(), 1);
    let summary = place.say("run --data d --drain --json").json();
    assert_eq!(summary["completed"], 0, "the queue is empty");
}

#[test]
fn run_that_cannot_be_merged_is_listed_with_its_error() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CS-DIMENSION"]);
    words(&place, "base");
    directory(&place, "wide", "words", 3, 5);
    place.write(
        "c.toml",
        "[queue]\nmax_receives = 2\n[retry]\nfirst = \"10ms\"\n",
    );
    place.say("submit --data d words=base").succeeds();
    // `submit` cannot compare the dimensions, because no version is published yet.
    place
        .say("submit --data d words=wide --run-id wide")
        .succeeds();
    let summary = place
        .say("run --config c.toml --data d --drain --json")
        .json();
    assert_eq!(
        (&summary["completed"], &summary["failed"]),
        (&1.into(), &1.into()),
        "another attempt would not help"
    );
    let runs = place.say("runs --data d --json").json();
    let part = &runs[0]["parts"]["words"];
    assert_eq!(part["state"], "FAILED");
    assert!(
        part["error"]
            .as_str()
            .unwrap()
            .starts_with("CS-DIMENSION: "),
        "{part}"
    );
    let said = place.say("runs --data d").succeeds();
    assert!(said.stdout.contains("CS-DIMENSION"), "{said}");
}

#[test]
fn runs_command_without_a_data_directory_says_where_it_looked() {
    let place = Workdir::new(COMPACTOR);
    place.write("file", "text");
    place
        .say("runs")
        .fails(USAGE, "CC-USAGE")
        .naming(&["data/local", "--data"]);
    for data in ["missing", "file"] {
        let line = format!("runs --data {data}");
        place.say(&line).fails(USAGE, "CC-USAGE").naming(&[data]);
        place
            .say(&format!("{line} --json"))
            .fails_in_json(USAGE, "CC-USAGE");
    }
    assert_eq!(place.names_in("."), ["file"], "`runs` makes no files");
}

#[test]
fn empty_data_directory_has_no_runs() {
    let place = Workdir::new(COMPACTOR);
    std::fs::create_dir(place.path("d")).unwrap();
    place.say("run --drain --data d").succeeds();
    assert_eq!(
        place.say("runs --data d").succeeds().stdout,
        "no runs yet\n"
    );
    let runs = place.say("runs --data d --json").json();
    assert_eq!(runs, Value::Array(Vec::new()));
}

#[test]
fn doctor_finds_the_embedded_backends_sound() {
    let place = Workdir::new(COMPACTOR);
    std::fs::create_dir(place.path("d")).unwrap();
    let findings = place.say("doctor --data d --json").json();
    let findings = findings.as_array().unwrap();
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        checks,
        [
            "working space",
            "objects",
            "queue",
            "locks",
            "run records",
            "snapshots",
            "waiting runs",
            "unpublished versions",
            "held locks",
        ]
    );
    assert!(
        findings.iter().all(|finding| finding["verdict"] == "ok"),
        "{findings:?}"
    );
    place.write("file", "x");
    let said = place.say("doctor --data file").exits(FAILURE);
    assert!(said.stdout.contains("BAD"), "{said}");
}

/// A misspelt name must not look like a sound data directory.
#[test]
fn missing_data_directory_is_reported() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let said = place
        .say("run --drain --data typo")
        .fails(USAGE, "CC-USAGE");
    said.naming(&["typo", "--data"]);
    assert_eq!(place.names_in("."), ["dir"]);
    let findings = place.say("doctor --data typo --json").json();
    assert_eq!(findings[0]["check"], "data directory", "{findings:#}");
    assert_eq!(findings[0]["verdict"], "warning");
    let again = place.say("doctor --data typo --json").json();
    assert_eq!(again[0]["check"], "working space", "{again:#}");
    let said = place.say("submit --data other words=dir").succeeds();
    assert!(said.stdout.contains("other: new data directory"), "{said}");
    let said = place.say("submit --data other words=dir").succeeds();
    assert!(!said.stdout.contains("new data directory"), "{said}");
}

#[cfg(unix)]
#[test]
fn directory_name_that_is_not_utf_8_is_accepted() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let place = Workdir::new(COMPACTOR);
    let name = || OsString::from_vec(b"delta-\xff".to_vec());
    std::fs::rename(words(&place, "dir"), place.path(name())).unwrap();
    let mut delta = OsString::from("words=");
    delta.push(name());
    let data = [
        OsString::from("--data"),
        OsString::from_vec(b"d-\xff".to_vec()),
    ];
    let commands: [&[OsString]; 2] = [&["submit".into(), delta], &["config".into(), "show".into()]];
    for command in commands {
        place.call(command.iter().chain(&data)).succeeds();
    }
}

#[test]
fn delta_prefix_and_allowed_collections_are_settings() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "w");
    place.write(
        "c.toml",
        "[deltas]\nprefixes = [\"in/{c}/\", \"{c}/delta/\"]\n",
    );
    let line = "submit words=w --run-id r --data d --config c.toml --json";
    let said = place.say(line).json();
    assert_eq!(said["prefixes"]["words"], "in/words/r/");
    let drained = place
        .say("run --drain --data d --config c.toml --json")
        .json();
    assert_eq!(drained["completed"], 1);
    place.write("c.toml", "[collections]\nallow = [\"lines\"]\n");
    let said = place.say("submit words=w --data new --config c.toml");
    said.fails(FAILURE, "CC-COLLECTION-REFUSED")
        .naming(&["words"]);
    assert!(!place.path("new").exists(), "nothing was made for it");
    place.expects(&["CC-COLLECTION-REFUSED"]);
    let said = place.say("runs retry r --data d --config c.toml");
    said.fails(FAILURE, "CC-COLLECTION-REFUSED");
}
