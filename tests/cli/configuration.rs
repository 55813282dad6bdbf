//! With a wrong configuration, commands exit with 78 and say what is wrong and where.

use compactor_testkit::cli::{CONFIGURATION, Said, Workdir};

use crate::COMPACTOR;

/// Checks that every command that reads a configuration refuses it in the same way.
#[track_caller]
fn refused(place: &Workdir, parts: &[&str]) {
    for command in ["run --drain", "submit words=dir", "runs"] {
        let line = format!("{command} --config c.toml");
        place
            .say(&line)
            .fails(CONFIGURATION, "CC-CONFIG")
            .naming(parts);
        let said = place.say(&format!("{line} --json"));
        said.fails_in_json(CONFIGURATION, "CC-CONFIG");
    }
    assert_eq!(place.names_in("."), ["c.toml"], "no command makes a file");
}

#[test]
fn missing_configuration_file_is_named() {
    let place = Workdir::new(COMPACTOR);
    for command in ["run", "run --drain", "submit words=dir", "runs"] {
        let line = format!("{command} --config missing.toml");
        let said = place.say(&line).fails(CONFIGURATION, "CC-CONFIG");
        said.naming(&["missing.toml"]);
    }
    assert_eq!(place.names_in("."), [""; 0]);
}

#[test]
fn unknown_key_is_refused_with_the_nearest_known_one() {
    for (text, wrong, right) in [
        (
            "[queue]\nvisibilty = \"5m\"\n",
            "queue.visibilty",
            "queue.visibility",
        ),
        ("[worker]\nworker = 3\n", "worker.worker", "worker.workers"),
        ("[aws]\nregoin = \"eu-1\"\n", "aws.regoin", "aws.region"),
        ("[queue]\nworkers = 3\n", "queue.workers", "worker.workers"),
        ("[limit]\ndelta = \"1 GiB\"\n", "limit", "limits"),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", text);
        refused(
            &place,
            &[wrong, "c.toml", &format!("did you mean `{right}`?")],
        );
    }
}

#[test]
fn duration_or_size_without_a_unit_is_refused() {
    for (text, key) in [
        ("[queue]\nvisibility = \"5\"\n", "queue.visibility"),
        ("[queue]\nvisibility = 5\n", "queue.visibility"),
        ("[lease]\nterm = \"soon\"\n", "lease.term"),
        ("[limits]\ndelta = \"4\"\n", "limits.delta"),
        ("[limits]\ndelta = 4\n", "limits.delta"),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", text);
        refused(&place, &[key, "\"90s\""]);
    }
}

#[test]
fn wrong_value_is_refused_with_the_value_or_its_key() {
    for (text, part) in [
        ("[storage]\nbackend = \"cloud\"\n", "cloud"),
        ("[worker]\nworkers = \"many\"\n", "worker.workers"),
        ("[merge]\nmetadata = \"mine\"\n", "mine"),
        ("[queue\n", "c.toml"),
        ("queue = 3\n", "queue"),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", text);
        refused(&place, &[part]);
    }
}

#[test]
fn contradictory_settings_are_refused_before_anything_is_made() {
    for (text, part) in [
        ("[worker]\nworkers = 0\n", "worker.workers"),
        ("[queue]\nvisibility = \"0s\"\n", "queue.visibility"),
        ("[lease]\nterm = \"10s\"\n", "term"),
        ("[snapshot]\nfirst = \"L99\"\n", "snapshot.first"),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", text);
        for command in ["run --drain", "submit words=dir"] {
            let line = format!("{command} --config c.toml");
            place
                .say(&line)
                .fails(CONFIGURATION, "CC-CONFIG")
                .naming(&[part]);
        }
        assert_eq!(place.names_in("."), ["c.toml"], "{text}");
    }
}

#[test]
fn config_show_masks_the_password_in_an_address() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[aws]\nendpoint = \"http://user:hunter2@localhost:4566/x\"\n",
    );
    for line in [
        "config show --config c.toml",
        "config show --config c.toml --json",
    ] {
        let said = place.say(line).succeeds();
        assert!(!said.stdout.contains("hunter2"), "{said}");
        assert!(
            said.stdout.contains("http://***@localhost:4566/x"),
            "{said}"
        );
    }
}

#[test]
fn error_masks_the_password_in_an_address() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[storage]\nbackend = \"aws\"\n[aws]\nbucket = \"b-1\"\ntable = \"t\"\n\
         queue_url = \"https://sqs/words\"\nendpoint = \"ftp://user:hunter2@example.com/x\"\n",
    );
    for line in ["config check", "config check --json", "run --drain"] {
        let said = place.say(&format!("{line} --config c.toml"));
        let said = said.exits(CONFIGURATION);
        assert!(!said.stderr.contains("hunter2"), "{said}");
        said.naming(&["aws.endpoint", "ftp://***@example.com", "is no address"]);
    }
}

#[test]
fn config_check_warns_of_a_remote_address_without_tls() {
    let place = Workdir::new(COMPACTOR);
    let settings = |endpoint: &str| {
        format!(
            "[storage]\nbackend = \"aws\"\n[aws]\nbucket = \"b-1\"\ntable = \"t\"\n\
             queue_url = \"https://sqs/words\"\nendpoint = \"{endpoint}\"\n"
        )
    };
    for (endpoint, is_warned) in [
        ("http://s3.example.com", true),
        ("http://u:p@10.0.0.1:4566/x", true),
        ("http://[fd00::1]:80", true),
        ("https://s3.example.com", false),
        ("http://localhost:4566", false),
        ("http://127.0.0.1:4566", false),
        ("http://[::1]:4566", false),
        ("http://localstack:4566", false),
    ] {
        place.write("c.toml", &settings(endpoint));
        place.expects(&["aws.endpoint"]);
        let said = place.say("config check --config c.toml").succeeds();
        assert_eq!(said.stderr.contains("aws.endpoint"), is_warned, "{said}");
        assert!(!said.stderr.contains("u:p"), "{said}");
        let found = place.say("config check --config c.toml --json").json();
        let warnings = found["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), usize::from(is_warned), "{found}");
    }
}

#[test]
fn setting_that_admits_too_much_or_nothing_is_refused() {
    for (text, parts) in [
        ("[deltas]\nprefixes = []\n", "deltas.prefixes"),
        (
            "[deltas]\nprefixes = [\"{c}/delta\"]\n",
            "must end with `/`",
        ),
        (
            "[deltas]\nprefixes = [\"/{c}/delta/\"]\n",
            "must end with `/`",
        ),
        ("[deltas]\nprefixes = [\"\"]\n", "names a whole collection"),
        ("[deltas]\nprefixes = [\"{x}/delta/\"]\n", "only `{c}`"),
        (
            "[deltas]\nprefixes = [\"{c}/snapshot/\"]\n",
            "published snapshot",
        ),
        ("[deltas]\nprefixes = [\"s3://b-1/{c}/\"]\n", "nor a bucket"),
        (
            "[collections]\nallow = [\"a[\"]\n",
            "collections.allow `a[`",
        ),
        (
            "[collections]\nembedding_functions = [{ name = \"\" }]\n",
            "a name is empty",
        ),
        ("[queue]\nstream_collections = 0\n", "from 1 to 10000"),
        ("[limits]\nvalue = \"1 GiB\"\n", "limits.value"),
        ("[limits]\nbatch = \"1 GiB\"\n", "limits.delta"),
        ("[storage]\naccess = \"nobody\"\n", "storage.access"),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", text);
        let said = place.say("config check --config c.toml");
        said.fails(CONFIGURATION, "CC-CONFIG").naming(&[parts]);
    }
    // An empty list in a variable does not mean "all".
    for list in [",", " "] {
        let place = Workdir::new(COMPACTOR);
        let mut command = place.command(["config", "check"]);
        command.env("CHROMA_COMPACTOR_COLLECTIONS__ALLOW", list);
        let said = Said::by(&mut command).fails(CONFIGURATION, "CC-CONFIG");
        said.naming(&["COLLECTIONS__ALLOW"]);
    }
    let aws = "[storage]\nbackend = \"aws\"\n[aws]\nbucket = \"b-1\"\ntable = \"t\"\n\
               queue_url = \"https://sqs/words\"\n";
    for (text, part) in [
        ("delta_buckets = [\"arn:aws:s3:::x\"]\n", "it is an ARN"),
        ("bucket_owners = { b-1 = \"12\" }\n", "no account id"),
        (
            "bucket_owners = { b-2 = \"123456789012\" }\n",
            "neither aws.bucket",
        ),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", &format!("{aws}{text}"));
        let said = place.say("config check --config c.toml");
        said.fails(CONFIGURATION, "CC-CONFIG").naming(&[part]);
    }
}

#[test]
fn config_check_refuses_the_settings_that_run_refuses() {
    let aws = "[storage]\nbackend = \"aws\"\n[aws]\nbucket = \"b\"\ntable = \"t\"\n";
    let queue = "queue_url = \"https://sqs/words\"\n";
    for (text, part) in [
        (
            "[log]\nfilter = \"a=b=c\"\n".to_owned(),
            "c.toml:2: log.filter",
        ),
        (
            format!("{aws}{queue}endpoint = \"localhost:4566\"\n"),
            "c.toml:7: aws.endpoint",
        ),
        (
            format!("{aws}queue_url = \"words\"\n"),
            "c.toml:6: aws.queue_url",
        ),
        (
            format!("{aws}queues = {{ words = \"words\" }}\n"),
            "c.toml:6: aws.queues",
        ),
    ] {
        let place = Workdir::new(COMPACTOR);
        place.write("c.toml", &text);
        for command in ["config check", "run --drain"] {
            let said = place.say(&format!("{command} --config c.toml"));
            said.fails(CONFIGURATION, "CC-CONFIG").naming(&[part]);
        }
        let sound = place.say("config check");
        sound.succeeds();
    }
}

#[test]
fn every_wrong_setting_is_shown_with_file_and_line() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "metrics = 3\n[queue]\nvisibilty = \"5m\"\nin_flight = \"many\"\n\n\
         [storage]\nbackend = \"s3\"\n[retention]\nage = \"1m\"\nversions = 0\n\
         [lease]\nterm = \"10s\"\n[limit]\ndelta = \"1 GiB\"\nratio = 3\n\
         [log]\nbuffer = 100000000000\n",
    );
    let parts = [
        "c.toml:1: metrics is a section: write [metrics]",
        "c.toml:3: unknown key `queue.visibilty` (did you mean `queue.visibility`?)",
        "c.toml:4: queue.in_flight: ",
        "c.toml:7: storage.backend: \"s3\" is none of \"local\", \"aws\"",
        "c.toml:9, c.toml:12: retention.age must be at least",
        "c.toml:10: retention.versions must be at least 1",
        "c.toml:12: lease renew_every",
        "c.toml:14, c.toml:15: unknown key `limit`",
        "c.toml:17: log.buffer must be from 1 to 10000000",
        "CHROMA_COMPACTOR_RETRY__ATTEMPTS: retry.attempts must be from 1 to 1000",
        "RUST_LOG: log.filter `a=b=c`",
        "11 settings are wrong",
    ];
    for command in ["config check", "run --drain", "doctor", "runs"] {
        let line = format!("{command} --config c.toml");
        let mut command = place.command(line.split_whitespace());
        command.env("CHROMA_COMPACTOR_RETRY__ATTEMPTS", "0");
        let said = Said::by(command.env("RUST_LOG", "a=b=c"));
        said.fails(CONFIGURATION, "CC-CONFIG").naming(&parts);
    }
    assert_eq!(place.names_in("."), ["c.toml"]);
}

/// Only the unreadable `lease.term` is wrong: its default is not compared with `renew_every`.
#[test]
fn unreadable_value_is_not_reported_as_a_contradiction_too() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[lease]\nterm = \"an hour\"\nrenew_every = \"9m\"\n",
    );
    let said = place.say("config check --config c.toml");
    let said = said.fails(CONFIGURATION, "CC-CONFIG");
    let said = said.naming(&["c.toml:2: lease.term: "]);
    assert!(!said.stderr.contains("renew_every"), "{said}");
}

#[test]
fn unreadable_configuration_file_is_named() {
    let place = Workdir::new(COMPACTOR);
    std::fs::create_dir(place.path("folder.toml")).unwrap();
    std::fs::write(place.path("bytes.toml"), b"[queue]\n# \xff\n").unwrap();
    place.write("secret.toml", "");
    let nobody = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(place.path("secret.toml"), nobody).unwrap();
    for (name, part) in [
        ("folder.toml", "directory"),
        ("bytes.toml", "UTF-8"),
        ("secret.toml", "denied"),
    ] {
        let said = place.say_unprivileged(&format!("config check --config {name}"));
        let said = said.fails(CONFIGURATION, "CC-CONFIG");
        said.naming(&[name, part]);
    }
}

#[test]
fn every_line_that_is_no_toml_is_named() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[queue]\npoll_wait =\nin_flight = 5\nmax_receives = 5 5\n",
    );
    let said = place.say("config check --config c.toml");
    let said = said.fails(CONFIGURATION, "CC-CONFIG");
    let said = said.naming(&["c.toml:2: ", "c.toml:4: "]);
    assert!(!said.stderr.contains("c.toml:3"), "{said}");
}

#[test]
fn config_show_names_the_line_of_a_setting() {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", "\n[queue]\nin_flight = 5\n");
    let shown = place.say("config show --json --config c.toml").json();
    assert_eq!(shown["queue.in_flight"]["source"], "file c.toml:3");
}
