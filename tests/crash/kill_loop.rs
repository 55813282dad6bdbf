//! Announces a run, starts a daemon, kills it, and again; then checks that no run was lost.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use compactor_core::ports::Clock;
use compactor_local::SystemClock;
use compactor_testkit::deadline::Deadline;
use compactor_testkit::fixture::directory;
use fastrand::Rng;
use serde_json::Value;

use crate::reader::Reader;
use crate::testbed::{Daemon, Testbed};

const COLLECTION: &str = "words";
/// Longer than a start and a cycle.
const LONGEST: u64 = 2_500;
/// The steps of a cycle, from the lease to the record, after which work is left.
const STEPS: usize = 9;
/// Longer than the lease of a killed daemon lasts and its messages stay hidden.
const BEGINNING: Duration = Duration::from_secs(10);
/// At least one kill in `HITS` must hit a daemon in the middle of a cycle.
const HITS: u64 = 5;

/// Kills `kills` daemons on this testbed, then checks what became of the runs.
pub(crate) fn endure(testbed: &Testbed, kills: u64, rng: &mut Rng) {
    testbed.place().write("runs", "");
    let mut runs = Vec::new();
    announce(testbed, &mut runs);
    testbed.say("run --drain").succeeds();
    let mut reader = Reader::new(testbed, COLLECTION);
    let mut hits = 0;
    for number in 0..kills {
        // So that there is something to do.
        announce(testbed, &mut runs);
        let daemon = testbed.daemon();
        match number % 2 {
            0 => wait_for_steps(&daemon, rng.usize(1..=STEPS)),
            _ => wait(rng.u64(0..LONGEST)),
        }
        hits += u64::from(daemon.kill());
        if !reader.is_running() {
            break;
        }
    }
    testbed.say("run --drain").succeeds();
    let listed = testbed.say(&format!("runs --limit {} --json", runs.len() + 1));
    let (unfinished, published) = outcome(&listed.json(), runs.len());
    // The reader's findings come first: they explain more.
    let found = reader.findings();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    assert_eq!(found.records, undisturbed(&runs), "{}", testbed.name());
    println!(
        "{}: {kills} kills, {hits} of them in the middle of a cycle; {} runs announced, \
         {published} versions published; {} reads by Python, of {} versions: nothing lost",
        testbed.name(),
        runs.len(),
        found.reads,
        found.versions,
    );
    assert!(
        hits * HITS >= kills,
        "{hits} of {kills} kills were in the middle of a cycle, which shows too little"
    );
}

/// The parts of these records that are not completed, and how many versions the others name.
fn outcome(records: &Value, runs: usize) -> (Vec<Value>, usize) {
    let records = records.as_array().unwrap().iter();
    let parts: Vec<&Value> = records.map(|run| &run["parts"][COLLECTION]).collect();
    assert_eq!(parts.len(), runs);
    let versions: BTreeSet<&str> = parts
        .iter()
        .filter_map(|part| part["version"].as_str())
        .collect();
    let unfinished = parts.iter().filter(|part| part["state"] != "COMPLETED");
    (unfinished.copied().cloned().collect(), versions.len())
}

/// Waits until the daemon has taken `steps` steps, but not for ever: a cycle may have fewer, and may be
/// the last.
fn wait_for_steps(daemon: &Daemon<'_>, steps: usize) {
    let deadline = Deadline::after(BEGINNING);
    while daemon.steps() < steps && deadline.is_ahead() {
        wait(2);
    }
}

fn wait(milliseconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = SystemClock::new();
    runtime.block_on(clock.sleep(Duration::from_millis(milliseconds)));
}

/// Announces one more run, after adding it to the reader's list.
fn announce(testbed: &Testbed, runs: &mut Vec<(String, usize)>) {
    let name = format!("run{}", runs.len());
    let records = 3 + runs.len() % 5;
    let place = testbed.place();
    let mut list = std::fs::OpenOptions::new();
    let mut list = list.append(true).open(place.path("runs")).unwrap();
    writeln!(list, "{name} {records}").unwrap();
    directory(place, &name, COLLECTION, records, 4);
    let line = format!("submit {COLLECTION}={name} --run-id {name}");
    testbed.say(&line).succeeds();
    runs.push((name, records));
}

/// The records that the same runs give if no daemon is killed.
fn undisturbed(runs: &[(String, usize)]) -> serde_json::Value {
    let testbed = Testbed::local();
    testbed.place().write("runs", "");
    let mut again = Vec::new();
    while again.len() < runs.len() {
        announce(&testbed, &mut again);
    }
    testbed.say("run --drain").succeeds();
    Reader::new(&testbed, COLLECTION).findings().records
}
