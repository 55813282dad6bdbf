//! A daemon that lacks something: space for its working copies, or descriptors. However far it
//! gets, no run is buried for that, and when there is enough of it the run is published.

use std::process::Command;

use crate::disk::Mounted;
use crate::fixture::directory;
use crate::place::{Place, Said};

const SETTINGS: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nmax_receives = 3\n";

/// A snapshot, and a run that waits.
fn waiting() -> Place {
    let place = Place::new();
    place.write("c.toml", SETTINGS);
    directory(&place, "base", "words", 400, 64);
    place.say("submit words=base --data d").succeeds();
    place.say("run --drain --data d").succeeds();
    directory(&place, "next", "words", 400, 64);
    place
        .say("submit words=next --data d --run-id next")
        .succeeds();
    place
}

fn state(place: &Place) -> String {
    let runs = place.say("runs --data d --json").json();
    let mut parts = runs.as_array().unwrap().iter().map(|run| {
        let is_next = run["key"]["run_id"] == "next";
        (is_next, run["parts"]["words"]["state"].as_str().unwrap())
    });
    parts.find(|(is_next, _)| *is_next).unwrap().1.to_owned()
}

/// A drain in want: it is through, or says what it lacks and keeps the run.
#[track_caller]
fn assert_nothing_is_buried(place: &Place, said: Said, lacks: &[&'static str]) -> bool {
    place.expects(lacks);
    if said.exit == Some(0) {
        assert_eq!(state(place), "COMPLETED", "{said}");
        return true;
    }
    assert!(
        lacks.iter().any(|text| said.stderr.contains(text)),
        "{said}"
    );
    assert_ne!(state(place), "FAILED", "{said}");
    false
}

#[test]
fn space_for_working_copies() {
    let mut failed = 0;
    for kibibytes in [64, 300, 500, 700, 900, 1200, 1500, 2000, 8000] {
        let place = waiting();
        let Some(mounted) = Mounted::at(&place, "d/scratch", &format!("{kibibytes}k")) else {
            return;
        };
        let said = place.say("run --drain --data d --config c.toml");
        let full = ["No space left", "disk is full", "disk I/O error"];
        if !assert_nothing_is_buried(&place, said, &full) {
            failed += 1;
        }
        drop(mounted);
        place.say("run --drain --data d --config c.toml").succeeds();
        assert_eq!(state(&place), "COMPLETED", "{kibibytes} KiB");
    }
    assert!((2..9).contains(&failed), "{failed} of 9 had too little");
}

#[test]
fn descriptors() {
    let mut failed = 0;
    let limits = [8, 10, 12, 14, 16, 18, 20, 24, 32, 64];
    for limit in limits {
        let place = waiting();
        let binary = place.command(["run"]);
        let script = format!(
            "ulimit -n {limit}; exec {} run --drain --data d --config c.toml",
            binary.get_program().display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(place.path(""));
        let said = Said::by(&mut shell);
        let few = ["Too many open files", "unable to open database file"];
        if !assert_nothing_is_buried(&place, said, &few) {
            failed += 1;
        }
        place.say("run --drain --data d --config c.toml").succeeds();
        assert_eq!(state(&place), "COMPLETED", "{limit} descriptors");
    }
    assert!((2..limits.len()).contains(&failed), "{failed} failed");
}
