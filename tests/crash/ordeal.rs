//! Kill, start again, announce, kill.

use std::io::Write;
use std::time::Duration;

use compactor_core::ports::Clock;
use compactor_local::SystemClock;
use fastrand::Rng;

use crate::deployment::kill;
use crate::fixture::directory;
use crate::reader::Reader;
use crate::stand::Stand;

const COLLECTION: &str = "words";
/// One run for so many kills.
const KILLS_PER_RUN: u64 = 3;
/// Longer than a start and a cycle.
const LONGEST: u64 = 2_500;

/// Kills daemons on this stand, so often, and looks what became of the runs.
pub(crate) fn endure(stand: &Stand, kills: u64, rng: &mut Rng) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let wait = |milliseconds| {
        let clock = SystemClock::new();
        runtime.block_on(clock.sleep(Duration::from_millis(milliseconds)));
    };
    stand.place().write("runs", "");
    let mut runs = Vec::new();
    announce(stand, &mut runs);
    stand.say("run --drain").succeeds();
    let mut reader = Reader::new(stand, COLLECTION);
    for kill_number in 0..kills {
        if kill_number % KILLS_PER_RUN == 0 {
            announce(stand, &mut runs);
        }
        let daemon = stand.daemon();
        wait(rng.u64(0..LONGEST));
        kill(daemon);
        if !reader.is_content() {
            break;
        }
    }
    stand.say("run --drain").succeeds();
    let listed = stand.say("runs --limit 1000 --json").json();
    let states: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["parts"][COLLECTION]["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.len(), runs.len());
    let unfinished = states.iter().filter(|state| **state != "COMPLETED");
    let unfinished: Vec<_> = unfinished.collect();
    // First what the reader says: it explains more.
    let found = reader.findings();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    assert_eq!(found.records, undisturbed(&runs), "{}", stand.name());
    println!(
        "{}: {kills} kills, {} runs, {} reads of {} versions: nothing lost",
        stand.name(),
        runs.len(),
        found.reads,
        found.versions,
    );
}

/// One more run, which the reader is told of first.
fn announce(stand: &Stand, runs: &mut Vec<(String, usize)>) {
    let name = format!("run{}", runs.len());
    let records = 3 + runs.len() % 5;
    let place = stand.place();
    let mut list = std::fs::OpenOptions::new();
    let mut list = list.append(true).open(place.path("runs")).unwrap();
    writeln!(list, "{name} {records}").unwrap();
    directory(place, &name, COLLECTION, records, 4);
    let line = format!("submit {COLLECTION}={name} --run-id {name}");
    stand.say(&line).succeeds();
    runs.push((name, records));
}

/// What the same runs give where nothing is killed.
fn undisturbed(runs: &[(String, usize)]) -> serde_json::Value {
    let stand = Stand::local();
    stand.place().write("runs", "");
    let mut again = Vec::new();
    while again.len() < runs.len() {
        announce(&stand, &mut again);
    }
    stand.say("run --drain").succeeds();
    Reader::new(&stand, COLLECTION).findings().records
}
