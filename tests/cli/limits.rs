//! A daemon that lacks something: space for its working copies, for what it stores, or descriptors.
//! However far it gets, no run is buried for that, and when there is enough of it the run is
//! published.

mod coordination;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::disk::Mounted;
use crate::fixture::directory;
use crate::place::{FAILURE, Place, Said};

const SETTINGS: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nmax_receives = 3\n";

/// What cannot be given back for want of space is free again soon.
const SHORT: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nvisibility = \"2s\"\npoll_wait = \"100ms\"\n\
     [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n";

const DRAIN: &str = "run --drain --data d --config c.toml";

/// Where queue, locks and records are.
const DATABASE: &str = "coordination.sqlite3";

/// Of a small disk, in kibibytes.
const PAGE: u64 = 4;

/// How the want of space is told.
const FULL: [&str; 3] = ["No space left", "disk is full", "disk I/O error"];

/// What a drain may be at when space runs out, in their order, and the words that tell. The working
/// copies:
const OF_SCRATCH: [&str; 2] = ["/delta-0", "/snapshot-0"];
/// What is published:
const OF_OBJECTS: [&str; 3] = ["/chroma.sqlite3", "/manifest.json", "/latest-pointer.txt"];
/// Queue, locks and records of runs:
const OF_COORDINATION: [&str; 9] = [
    "cannot be used",
    "receive messages",
    "acquire lock",
    "take fence",
    "start run",
    "renew lock",
    "complete run",
    "delete message",
    "release lock",
];

/// The end of a run that never can be published:
const OF_ITS_FAILURE: [&str; 2] = ["fail run", "dead-letter message"];

/// In the snapshot and in the run that waits, each.
const RECORDS: usize = 400;

/// A snapshot, and a run that waits.
fn waiting() -> Place {
    let place = Place::new();
    prepare(&place, SETTINGS);
    place
}

fn prepare(place: &Place, settings: &str) {
    place.write("c.toml", settings);
    directory(place, "base", "words", RECORDS, 64);
    place.say("submit words=base --data d").succeeds();
    place.say("run --drain --data d").succeeds();
    directory(place, "next", "words", RECORDS, 64);
    place
        .say("submit words=next --data d --run-id next")
        .succeeds();
}

/// What is recorded of a run.
fn part(place: &Place, run: &str) -> Value {
    let runs = place.say("runs --data d --json").json();
    let mut runs = runs.as_array().unwrap().iter();
    let found = runs.find(|found| found["key"]["run_id"] == run);
    found.unwrap()["parts"]["words"].clone()
}

/// Of the run that waits, or waited.
fn state(place: &Place) -> String {
    part(place, "next")["state"].as_str().unwrap().to_owned()
}

/// All records of both are in what it was published in.
#[track_caller]
fn assert_all_there(place: &Place) {
    let part = part(place, "next");
    assert_eq!(part["state"], "COMPLETED", "{part}");
    let version = part["version"].as_str().unwrap();
    let dir = format!("d/objects/words/snapshot/timestamped/{version}");
    let report = place.say(&format!("store verify {dir} --full --json"));
    let report = report.json();
    assert_eq!(report["collections"][0]["records"], 2 * RECORDS);
}

/// What a drain was at when there was no space.
#[track_caller]
fn stages(said: &Said) -> BTreeSet<&'static str> {
    let is_full = |line: &&str| FULL.iter().any(|full| line.contains(full));
    let lines: Vec<&str> = said.stderr.lines().filter(is_full).collect();
    assert!(!lines.is_empty(), "no word of a lack of space: {said}");
    let all = OF_SCRATCH.iter().chain(&OF_OBJECTS).chain(&OF_COORDINATION);
    let all = all.chain(&OF_ITS_FAILURE);
    let told = |stage: &&&str| lines.iter().any(|line| line.contains(**stage));
    all.filter(told).copied().collect()
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

/// A disk for a part of the data, or for all of it.
struct Disk {
    /// Unmounted before its place is removed.
    mounted: Mounted,
    place: Place,
}

impl Disk {
    /// Of all that is in `d`.
    fn of_everything() -> Option<Self> {
        Self::at("d", SHORT, |_| {})
    }

    /// Of what is in `d`, without queue, locks, records and working copies.
    fn of_objects() -> Option<Self> {
        Self::at("d", &elsewhere(), |place| {
            std::fs::create_dir(place.path("coordination")).unwrap();
            link_coordination(place);
        })
    }

    /// Of queue, locks and records alone.
    fn of_coordination() -> Option<Self> {
        // The lease is renewed while there is no space for that.
        let settings = elsewhere().replace("500ms", "20ms");
        Self::at("coordination", &settings, |place| {
            std::fs::create_dir(place.path("d")).unwrap();
            link_coordination(place);
        })
    }

    fn at(folder: &str, settings: &str, arrange: impl Fn(&Place)) -> Option<Self> {
        let place = Place::new();
        place.expects(&FULL);
        // A lease that short is lost on a slow disk.
        place.expects(&["CC-LEASE-LOST"]);
        let mounted = Mounted::at(&place, folder, "64m")?;
        arrange(&place);
        prepare(&place, settings);
        Some(Self { mounted, place })
    }

    /// Drains with so much space left, then with enough of it. What the first drain was at when
    /// there was none; `None` if it was through.
    fn drain_with(&self, kibibytes: u64) -> Option<BTreeSet<&'static str>> {
        let place = &self.place;
        self.mounted.leave(kibibytes);
        let said = place.say(DRAIN);
        self.mounted.leave(64 << 10);
        if said.exit == Some(0) {
            assert_all_there(place);
            return None;
        }
        let said = said.exits(FAILURE);
        assert_ne!(state(place), "FAILED", "{said}");
        place.say(DRAIN).succeeds();
        assert_all_there(place);
        Some(stages(&said))
    }
}

/// Working copies are on a disk with space.
fn elsewhere() -> String {
    format!("{SHORT}[worker]\nscratch = \"scratch\"\n")
}

/// The database lies in a folder beside `d`; SQLite keeps its journal there as well.
fn link_coordination(place: &Place) {
    let link = place.path("d").join(DATABASE);
    symlink(Path::new("../coordination").join(DATABASE), link).unwrap();
}

#[track_caller]
fn assert_among(stages: &BTreeSet<&str>, expected: &[&str]) {
    for stage in expected {
        assert!(stages.contains(stage), "never at {stage:?}: {stages:?}");
    }
}

#[test]
fn space_for_working_copies() {
    let (mut failed, mut seen) = (0, BTreeSet::new());
    for kibibytes in [64, 300, 500, 700, 900, 1200, 1500, 2000, 8000] {
        let place = waiting();
        let Some(mounted) = Mounted::at(&place, "d/scratch", &format!("{kibibytes}k")) else {
            return;
        };
        let said = place.say(DRAIN);
        if said.exit != Some(0) {
            seen.extend(stages(&said));
        }
        if !assert_nothing_is_buried(&place, said, &FULL) {
            failed += 1;
        }
        drop(mounted);
        place.say(DRAIN).succeeds();
        assert_all_there(&place);
    }
    assert!((2..9).contains(&failed), "{failed} of 9 had too little");
    assert_among(&seen, &OF_SCRATCH);
}

/// Working copies, objects and queue fill one disk.
#[test]
fn space_for_everything() {
    let (mut seen, mut is_through) = (BTreeSet::new(), false);
    for kibibytes in (0..8000).step_by(200) {
        let Some(disk) = Disk::of_everything() else {
            return;
        };
        let Some(stages) = disk.drain_with(kibibytes) else {
            is_through = true;
            break;
        };
        seen.extend(stages);
    }
    assert!(is_through, "{seen:?}");
    assert_among(&seen, &OF_SCRATCH);
    assert_among(&seen, &OF_OBJECTS[..1]);
}

/// Looks for what is just enough, and goes there page by page: that is where small objects and the
/// pointer are put.
#[test]
fn space_for_what_is_published() {
    let mut seen = BTreeSet::new();
    let (mut little, mut enough) = (0_u64, 2048_u64);
    while enough - little > PAGE {
        let middle = little.midpoint(enough);
        let Some(disk) = Disk::of_objects() else {
            return;
        };
        match disk.drain_with(middle) {
            Some(stages) => {
                seen.extend(stages);
                little = middle;
            }
            None => enough = middle,
        }
    }
    for pages in 1..8 {
        let Some(disk) = Disk::of_objects() else {
            return;
        };
        let kibibytes = enough.saturating_sub(pages * PAGE);
        seen.extend(disk.drain_with(kibibytes).unwrap_or_default());
    }
    assert_among(&seen, &OF_OBJECTS);
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
        assert_all_there(&place);
    }
    assert!((2..limits.len()).contains(&failed), "{failed} failed");
}
