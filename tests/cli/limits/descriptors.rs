//! A daemon with too few file descriptors.

use std::process::Command;

use compactor_testkit::cli::{Said, Workdir};

use super::{DRAIN, RECORDS, assert_all_there, prepare, state};

use crate::COMPACTOR;

const SETTINGS: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nmax_receives = 3\n";

/// Checks that a drain completed the run, or logged one of `lacks` and kept the run. Returns whether it
/// completed the run.
#[track_caller]
fn assert_nothing_is_buried(place: &Workdir, said: Said, lacks: &[&'static str]) -> bool {
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
fn daemon_without_enough_descriptors_buries_no_run() {
    let mut failed = 0;
    let limits = [8, 10, 12, 14, 16, 18, 20, 24, 32, 64];
    for limit in limits {
        let place = Workdir::new(COMPACTOR);
        prepare(&place, SETTINGS, RECORDS);
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
        place.say(DRAIN).succeeds();
        assert_all_there(&place, RECORDS);
    }
    assert!((2..limits.len()).contains(&failed), "{failed} failed");
}
