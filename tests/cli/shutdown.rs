//! SIGTERM during a merge: the process ends within `worker.shutdown` at any step, and the next one finishes
//! the work.

use std::sync::mpsc::channel;
use std::time::Duration;

use compactor_core::ports::Clock;
use compactor_local::SystemClock;
use compactor_snapshots::Step;
use compactor_testkit::cli::{Said, Workdir};
use compactor_testkit::fixture::directory;
use rustix::process::Signal;

use crate::COMPACTOR;
use crate::daemon::Daemon;

/// The same time as `worker.shutdown` in `SETTINGS`.
const BOUND: Duration = Duration::from_millis(500);

/// What starting and ending a process adds on a busy machine.
const ALLOWANCE: Duration = Duration::from_secs(3);

/// A receive lasts far longer than the shutdown may. Messages and locks that a daemon leaves behind are
/// soon free again. The log has a line for every step.
const SETTINGS: &str = "[worker]\nshutdown = \"500ms\"\n\
     [queue]\nvisibility = \"2s\"\nmax_receives = 20\npoll_wait = \"20s\"\n\
     [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n\
     [log]\nfilter = \"info,compactor_daemon=debug\"\n";

const LEFT_ALONE: &str = "stopping without waiting any longer";
const NOT_GIVEN_BACK: &str = "messages could not be given back in time";

/// A working directory with a delta of `records` records in `dir`.
fn place_with(records: usize) -> Workdir {
    let place = Workdir::new(COMPACTOR);
    // A lease this short is lost on a slow disk.
    place.expects(&[LEFT_ALONE, NOT_GIVEN_BACK, "CC-LEASE-LOST"]);
    place.write("c.toml", SETTINGS);
    directory(&place, "dir", "words", records, 32);
    place
}

fn daemon(place: &Workdir, data: &str) -> Daemon {
    Daemon::start(place, &format!("run --config c.toml --data {data}"))
}

/// Starts a daemon and announces a run to it.
fn busy_daemon(place: &Workdir, data: &str) -> Daemon {
    let daemon = daemon(place, data);
    let line = format!("submit words=dir --data {data}");
    place.say(&line).succeeds();
    daemon
}

/// Lets `time` pass, by waiting for a message that is never sent.
fn wait(time: Duration) {
    let (_silent, nothing) = channel::<()>();
    assert!(nothing.recv_timeout(time).is_err());
}

/// Sends SIGTERM, and checks that the daemon exits with success in time.
#[track_caller]
fn stops(daemon: Daemon, what: &str) -> Said {
    let clock = SystemClock::new();
    let said = daemon.end(Signal::TERM);
    let took = clock.monotonic().0;
    assert!(took < BOUND + ALLOWANCE, "{what}: {took:?}: {said}");
    said.succeeds()
}

/// Checks that the next daemon completes the run, publishes all its records, and leaves no scratch files.
#[track_caller]
fn assert_finished_by_the_next(place: &Workdir, data: &str, records: usize) {
    let line = format!("run --drain --config c.toml --data {data}");
    place.say(&line).succeeds();
    let runs = place.say(&format!("runs --data {data} --json")).json();
    let part = &runs[0]["parts"]["words"];
    assert_eq!(part["state"], "COMPLETED", "{data}: {runs}");
    let version = part["version"].as_str().unwrap();
    let dir = format!("{data}/objects/words/snapshot/timestamped/{version}");
    let report = place.say(&format!("store verify {dir} --full --json"));
    let report = report.json();
    assert_eq!(report["collections"][0]["records"], records, "{data}");
    let scratch = format!("{data}/scratch");
    assert_eq!(place.names_in(&scratch), [""; 0]);
}

#[test]
fn sigterm_at_any_step_ends_the_daemon_in_time() {
    const RECORDS: usize = 2000;
    let place = place_with(RECORDS);
    for step in Step::ALL.map(Step::name) {
        let mut daemon = busy_daemon(&place, step);
        daemon.wait_for(&format!("step=\"{step}\""));
        stops(daemon, step);
        assert_finished_by_the_next(&place, step, RECORDS);
    }
}

/// `timeout` sends the signal twice: to the process, and to its group.
#[test]
fn repeated_sigterm_ends_the_daemon_in_time() {
    const RECORDS: usize = 2000;
    let place = place_with(RECORDS);
    let steps = [Step::Leased, Step::Merged, Step::Uploaded, Step::Swapped];
    for step in steps.map(Step::name) {
        let mut daemon = busy_daemon(&place, step);
        daemon.wait_for(&format!("step=\"{step}\""));
        daemon.signal(Signal::TERM);
        daemon.wait_for("stopping");
        stops(daemon, step);
        assert_finished_by_the_next(&place, step, RECORDS);
    }
}

/// The merge takes longer than the shutdown may.
#[test]
fn sigterm_at_any_moment_of_a_long_merge_ends_the_daemon_in_time() {
    const RECORDS: usize = 20_000;
    let (place, mut left_alone) = (place_with(RECORDS), 0);
    for milliseconds in [0, 20, 50, 100, 200, 400, 800] {
        let data = format!("after-{milliseconds}");
        let daemon = busy_daemon(&place, &data);
        wait(Duration::from_millis(milliseconds));
        let said = stops(daemon, &data);
        left_alone += usize::from(said.stderr.contains(LEFT_ALONE));
        assert_finished_by_the_next(&place, &data, RECORDS);
    }
    // If every daemon finished its work in time, the test would not show that the limit holds.
    assert!(left_alone > 2, "work was left alone {left_alone} times");
}

#[test]
fn sigterm_ends_a_daemon_that_waits_for_messages_in_time() {
    let place = place_with(1);
    let said = stops(daemon(&place, "d"), "idle");
    said.naming(&[LEFT_ALONE]);
}
