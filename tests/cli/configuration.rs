//! A wrong configuration exits with 78 and says what is wrong, and where.

use crate::place::{CONFIGURATION, Place};

/// Every command that reads a configuration refuses it in the same way.
#[track_caller]
fn refused(place: &Place, parts: &[&str]) {
    for command in ["run --drain", "submit words=dir", "runs"] {
        let line = format!("{command} --config c.toml");
        place
            .say(&line)
            .fails(CONFIGURATION, "CC-CONFIG")
            .naming(parts);
        let said = place.say(&format!("{line} --json"));
        said.fails_in_json(CONFIGURATION, "CC-CONFIG");
    }
    assert_eq!(place.names_in("."), ["c.toml"], "nothing is made");
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    for command in ["run", "run --drain", "submit words=dir", "runs"] {
        let line = format!("{command} --config missing.toml");
        let said = place.say(&line).fails(CONFIGURATION, "CC-CONFIG");
        said.naming(&["missing.toml"]);
    }
    assert_eq!(place.names_in("."), [""; 0]);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    for (text, wrong, right) in [
        (
            "[queue]\nvisibilty = \"5m\"\n",
            "queue.visibilty",
            "queue.visibility",
        ),
        ("[worker]\nworker = 3\n", "worker.worker", "worker.workers"),
        ("[queue]\nworkers = 3\n", "queue.workers", "worker.workers"),
        ("[limit]\ndelta = \"1 GiB\"\n", "limit", "limits"),
    ] {
        let place = Place::new();
        place.write("c.toml", text);
        refused(
            &place,
            &[wrong, "c.toml", &format!("did you mean `{right}`?")],
        );
    }
}

#[test]
fn values_need_units() {
    for (text, key) in [
        ("[queue]\nvisibility = \"5\"\n", "queue.visibility"),
        ("[queue]\nvisibility = 5\n", "queue.visibility"),
        ("[lease]\nterm = \"soon\"\n", "lease.term"),
        ("[limits]\ndelta = \"4\"\n", "limits.delta"),
        ("[limits]\ndelta = 4\n", "limits.delta"),
    ] {
        let place = Place::new();
        place.write("c.toml", text);
        refused(&place, &[key, "\"90s\""]);
    }
}

#[test]
fn wrong_values_name_their_key() {
    for (text, part) in [
        ("[storage]\nbackend = \"cloud\"\n", "cloud"),
        ("[worker]\nworkers = \"many\"\n", "worker.workers"),
        ("[merge]\nmetadata = \"mine\"\n", "mine"),
        ("[queue\n", "c.toml"),
        ("queue = 3\n", "queue"),
    ] {
        let place = Place::new();
        place.write("c.toml", text);
        refused(&place, &[part]);
    }
}

#[test]
fn contradictions_are_refused_before_anything_is_made() {
    for (text, part) in [
        ("[worker]\nworkers = 0\n", "worker.workers"),
        ("[queue]\nvisibility = \"0s\"\n", "queue.visibility"),
        ("[lease]\nterm = \"10s\"\n", "term"),
        ("[snapshot]\nfirst = \"L99\"\n", "snapshot.first"),
    ] {
        let place = Place::new();
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
fn a_secret_in_an_address_is_not_shown() {
    let place = Place::new();
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
