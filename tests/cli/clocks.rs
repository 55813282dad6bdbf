//! The machine's clock is set while a daemon works. The daemon publishes the run once and whole, with a
//! version greater than the one before, and the next daemon, with the right time, has nothing to publish.

use std::collections::BTreeSet;

use compactor_snapshots::Step;
use compactor_testkit::cli::{Said, Workdir};
use compactor_testkit::faketime::SetClock;
use compactor_testkit::fixture::directory;
use rustix::process::Signal;

use crate::COMPACTOR;
use crate::daemon::Daemon;

const RECORDS: usize = 400;

/// The log has a line for every step.
const SETTINGS: &str =
    "[queue]\npoll_wait = \"100ms\"\n[log]\nfilter = \"info,compactor_daemon=debug\"\n";

/// Longer than any lease or message lasts.
const OFFSETS: [&str; 2] = ["+400d", "-400d"];

/// Starts a daemon that reads `clock`.
fn daemon(place: &Workdir, clock: &SetClock, data: &str) -> Daemon {
    let line = format!("run --config c.toml --data {data}");
    let mut command = place.command(line.split_whitespace());
    clock.give_to(&mut command);
    Daemon::by(command)
}

/// The state and version of the run, and the number of records in its version.
fn outcome(place: &Workdir, data: &str, run: &str) -> (String, String, u64) {
    let runs = place.say(&format!("runs --data {data} --json")).json();
    let mut runs = runs.as_array().unwrap().iter();
    let run = runs.find(|found| found["key"]["run_id"] == run).unwrap();
    let part = &run["parts"]["words"];
    let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
    let version = text("version");
    let dir = format!("{data}/objects/words/snapshot/timestamped/{version}");
    let report = place.say(&format!("store verify {dir} --full --json"));
    let records = report.json()["collections"][0]["records"].as_u64();
    (text("state"), version, records.unwrap())
}

fn place() -> Workdir {
    let place = Workdir::new(COMPACTOR);
    place.write("c.toml", SETTINGS);
    for name in ["base", "next"] {
        directory(&place, name, "words", RECORDS, 8);
    }
    place
}

fn submit(place: &Workdir, run: &str, data: &str) {
    let line = format!("submit words={run} --run-id {run} --data {data}");
    place.say(&line).succeeds();
}

/// The other test proves nothing unless this one passes.
#[test]
fn daemon_goes_by_the_clock_that_the_test_sets() {
    let place = place();
    let clock = SetClock::new(&place, "ahead");
    clock.set("+400d");
    for (run, is_ahead) in [("base", false), ("next", true)] {
        submit(&place, run, "d");
        let mut command = place.command("run --drain --data d".split(' '));
        if is_ahead {
            clock.give_to(&mut command);
        }
        Said::by(&mut command).succeeds();
    }
    let year = |run| outcome(&place, "d", run).1[..4].parse::<u32>().unwrap();
    assert!(year("next") > year("base"));
}

/// The next step comes soon, so an attempt sometimes sets the clock a moment too late.
const ATTEMPTS: usize = 5;

#[test]
fn run_is_published_once_when_the_clock_is_set_at_any_step() {
    let place = place();
    let mut set_within = BTreeSet::new();
    for step in Step::ALL.map(Step::name) {
        for offset in OFFSETS {
            for attempt in 0..ATTEMPTS {
                let data = format!("{step}{offset}-{attempt}");
                if set_at(&place, step, offset, &data) {
                    set_within.insert((step, offset));
                    break;
                }
            }
        }
    }
    // Only these steps have a later one, some milliseconds after them.
    for step in &Step::ALL.map(Step::name)[..6] {
        for offset in OFFSETS {
            let is_within = set_within.contains(&(step, offset));
            assert!(is_within, "{step}, {offset}: {set_within:?}");
        }
    }
}

/// Merges a run, and sets the clock when the daemon has reached `step`. Returns whether the log shows both
/// times between that step and the end of the cycle.
fn set_at(place: &Workdir, step: &str, offset: &str, data: &str) -> bool {
    submit(place, "base", data);
    let drain = format!("run --drain --config c.toml --data {data}");
    place.say(&drain).succeeds();
    submit(place, "next", data);
    let clock = SetClock::new(place, data);
    let mut daemon = daemon(place, &clock, data);
    daemon.wait_for(&format!("step=\"{step}\""));
    clock.set(offset);
    if step != Step::Released.name() {
        daemon.wait_for("step=\"released\"");
    }
    let said = daemon.end(Signal::TERM).succeeds();
    let (_, base, _) = outcome(place, data, "base");
    let (state, version, records) = outcome(place, data, "next");
    assert_eq!(
        (state.as_str(), records),
        ("COMPLETED", 2 * RECORDS as u64),
        "{said}"
    );
    assert!(version > base, "{version} after {base}: {said}");
    let year = |step: &str| {
        let text = format!("step=\"{step}\"");
        let mut lines = said.stderr.lines();
        let line = lines.find(|line| line.contains(&text)).unwrap();
        line[..4].to_owned()
    };
    let is_within = year(step) != year(Step::Released.name());
    // This daemon has the right time. A run that is delivered again is in the lineage.
    let said = place.say(&drain).succeeds();
    assert!(said.stdout.contains("0 versions published"), "{said}");
    is_within
}
