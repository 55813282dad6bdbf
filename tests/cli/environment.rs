//! Settings from the environment have the keys and errors of the file. They override the file, and flags
//! override them.

use compactor_testkit::cli::{CONFIGURATION, FAILURE, Said, Workdir};

use crate::COMPACTOR;

fn with(place: &Workdir, line: &str, name: &str, value: &str) -> Said {
    Said::by(place.command(line.split_whitespace()).env(name, value))
}

#[test]
fn wrong_setting_of_the_environment_is_refused_by_its_key() {
    let place = Workdir::new(COMPACTOR);
    for (name, value, part) in [
        (
            "CHROMA_COMPACTOR_QUEUE__VISIBILTY",
            "5m",
            "queue.visibility",
        ),
        (
            "CHROMA_COMPACTOR_QUEUE__VISIBILITY",
            "5",
            "queue.visibility",
        ),
        ("CHROMA_COMPACTOR_LIMITS__DELTA", "5", "limits.delta"),
        ("CHROMA_COMPACTOR_WORKER__WORKERS", "0", "worker.workers"),
        ("CHROMA_COMPACTOR_CONFIG", "missing.toml", "missing.toml"),
        ("CHROMA_COMPACTOR_LOG__FILTER", "a=b=c", "log.filter"),
    ] {
        let said = with(&place, "run --drain", name, value);
        said.fails(CONFIGURATION, "CC-CONFIG").naming(&[part]);
    }
    assert_eq!(place.names_in("."), [""; 0]);
}

#[test]
fn flag_overrides_the_environment_which_overrides_the_file() {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", "[storage]\npath = \"from-file\"\n");
    let name = "CHROMA_COMPACTOR_STORAGE__PATH";
    place.say("doctor --config c.toml").succeeds();
    with(&place, "doctor --config c.toml", name, "from-environment").succeeds();
    with(
        &place,
        "doctor --config c.toml --data from-flag",
        name,
        "unused",
    )
    .succeeds();
    with(&place, "doctor", "CHROMA_COMPACTOR_CONFIG", "c.toml").succeeds();
    assert_eq!(
        place.names_in("."),
        ["c.toml", "from-environment", "from-file", "from-flag"]
    );
}

#[test]
fn logs_are_json_or_silent_on_request() {
    let place = Workdir::new(COMPACTOR);
    std::fs::create_dir_all(place.path("data/local")).unwrap();
    let said = with(
        &place,
        "run --drain",
        "CHROMA_COMPACTOR_LOG__FORMAT",
        "json",
    )
    .succeeds();
    assert!(said.stderr.lines().count() > 0);
    for line in said.stderr.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"].is_string(), "{line}");
    }
    let said = with(&place, "run --drain", "RUST_LOG", "off").succeeds();
    assert_eq!(said.stderr, "");
}

/// A log collector parses every line as JSON.
#[test]
fn results_warnings_and_errors_are_json_where_logs_are() {
    let place = Workdir::new(COMPACTOR);
    place.expects(&["CC-CONFIG", "CC-LOCAL-DIRECTORY", "CHROMA_COMPACTOR_PORT"]);
    let json = |line: &str| {
        let mut command = place.command(line.split_whitespace());
        command
            .env("CHROMA_COMPACTOR_LOG__FORMAT", "json")
            .env("CHROMA_COMPACTOR_PORT", "tcp://10.0.0.1:80");
        Said::by(&mut command)
    };
    let lines = |text: &str| -> Vec<serde_json::Value> {
        let lines = text.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"))
            })
            .collect()
    };
    std::fs::create_dir(place.path("d")).unwrap();
    let said = json("run --drain --data d").succeeds();
    let summary = &lines(&said.stdout)[0];
    assert_eq!(said.stdout.lines().count(), 1, "{said}");
    assert_eq!(summary["completed"], 0, "{said}");
    let warning = &lines(&said.stderr)[0];
    assert_eq!(warning["level"], "WARN", "{said}");
    let warning = warning["fields"]["message"].as_str().unwrap();
    assert!(warning.contains("CHROMA_COMPACTOR_PORT"), "{said}");

    place.write("file", "");
    place.write("wrong.toml", "[queue]\nvisibilty = \"5m\"\n");
    for (line, exit, code) in [
        (
            "run --drain --config missing.toml",
            CONFIGURATION,
            "CC-CONFIG",
        ),
        (
            "run --drain --config wrong.toml",
            CONFIGURATION,
            "CC-CONFIG",
        ),
        ("run --drain --data file/d", FAILURE, "CC-LOCAL-DIRECTORY"),
    ] {
        let said = json(line).exits(exit);
        assert_eq!(said.stdout, "", "{said}");
        let error = lines(&said.stderr).pop().unwrap();
        assert_eq!(error["level"], "ERROR", "{said}");
        assert!(error["timestamp"].is_string(), "{said}");
        let fields = &error["fields"];
        assert_eq!(fields["code"], code, "{said}");
        for key in ["message", "help"] {
            assert!(fields[key].is_string(), "{key}: {said}");
        }
    }
    // The file can ask for JSON as well.
    place.write(
        "c.toml",
        "[log]\nformat = \"json\"\n[queue]\nvisibilty = \"5m\"\n",
    );
    let said = place.say("run --config c.toml").exits(CONFIGURATION);
    assert_eq!(lines(&said.stderr)[0]["fields"]["code"], "CC-CONFIG");
    // `--json` still decides the form of an error.
    json("run --drain --config missing.toml --json").fails_in_json(CONFIGURATION, "CC-CONFIG");
}

/// Kubernetes sets such variables for a service named `chroma-compactor`.
#[test]
fn variable_without_a_section_is_warned_of_and_ignored() {
    let place = Workdir::new(COMPACTOR);
    for (name, value) in [
        ("CHROMA_COMPACTOR_PORT", "tcp://10.0.0.1:80"),
        ("CHROMA_COMPACTOR_SERVICE_HOST", "10.0.0.1"),
        ("CHROMA_COMPACTOR_PORT_80_TCP_ADDR", "10.0.0.1"),
    ] {
        let said = with(&place, "config check", name, value).succeeds();
        assert!(said.stderr.contains(name), "{said}");
    }
    let misspelt = with(
        &place,
        "config check",
        "CHROMA_COMPACTOR_QUEU__POLL_WAIT",
        "5s",
    );
    misspelt.fails(CONFIGURATION, "CC-CONFIG");
}

#[test]
fn aws_key_without_a_backend_selects_aws() {
    let place = Workdir::new(COMPACTOR);
    let backend = |said: Said| said.json()["storage.backend"]["value"].clone();
    place.write("local.toml", "[storage]\nbackend = \"local\"\n");
    for name in [
        "CHROMADB_BUCKET",
        "DYNAMODB_TABLE_NAME",
        "CHROMA_COMPACTOR_AWS__TABLE",
    ] {
        let said = with(&place, "config show --json", name, "theirs");
        assert_eq!(backend(said), "aws", "{name}");
        // The other keys of AWS are still missing.
        let checked = with(&place, "config check", name, "theirs");
        checked.fails(CONFIGURATION, "CC-CONFIG").naming(&["aws."]);
        let line = "config show --json --config local.toml";
        let said = with(&place, line, name, "theirs");
        let told = ["is ignored", "are ignored"];
        assert!(told.iter().any(|told| said.stderr.contains(told)), "{said}");
        assert_eq!(backend(said), "local", "{name}");
    }
    assert_eq!(backend(place.say("config show --json")), "local");
}

#[test]
fn lists_and_collection_names_are_read_from_the_environment() {
    let place = Workdir::new(COMPACTOR);
    let shown = |name: &str, value: &str| {
        let said = with(&place, "config show --json", name, value);
        said.json()
    };
    let locks = shown("CHROMA_COMPACTOR_AWS__LOCK_IDS", "a-{c},b-{c}");
    let locks = &locks["aws.lock_ids"]["value"];
    assert_eq!(*locks, serde_json::json!(["a-{c}", "b-{c}"]));
    for (name, collection) in [
        ("CHROMA_COMPACTOR_AWS__QUEUES__MyWords", "MyWords"),
        // A name in capitals is read as lower case, because variables are usually in capitals.
        ("CHROMA_COMPACTOR_AWS__QUEUES__WORDS", "words"),
    ] {
        let shown = shown(name, "https://sqs/words");
        let queues = &shown["aws.queues"];
        let expected = serde_json::json!({ collection: "https://sqs/words" });
        assert_eq!(queues["value"], expected);
        assert_eq!(queues["source"], format!("environment {name}"));
    }
    let whole = shown("CHROMA_COMPACTOR_AWS__QUEUES", "WORDS=https://sqs/words");
    let expected = serde_json::json!({ "WORDS": "https://sqs/words" });
    assert_eq!(whole["aws.queues"]["value"], expected);
}

#[cfg(unix)]
#[test]
fn value_of_the_environment_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;

    let place = Workdir::new(COMPACTOR);
    let name = "CHROMA_COMPACTOR_STORAGE__PATH";
    let mut command = place.command(["config", "check"]);
    command.env(name, std::ffi::OsStr::from_bytes(b"a\xff"));
    let said = Said::by(&mut command).fails(CONFIGURATION, "CC-CONFIG");
    said.naming(&[name, "not UTF-8"]);
}
