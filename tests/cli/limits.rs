//! A daemon that lacks something: space for its working copies, for what it stores, or descriptors.
//! However far it gets, no run is buried for that, and when there is enough of it the run is
//! published.

use std::collections::BTreeSet;
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

/// How the want of space is told.
const FULL: [&str; 3] = ["No space left", "disk is full", "disk I/O error"];

/// What a drain may be at when space runs out, and the words that tell.
const STAGES: [&str; 10] = [
    "cannot be used",
    "receive messages",
    "acquire lock",
    "take fence",
    "/delta-0",
    "/snapshot-0",
    "upload object",
    "put object",
    "renew lock",
    "delete message",
];

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

/// What is recorded of the run that waits, or waited.
fn part(place: &Place) -> Value {
    let runs = place.say("runs --data d --json").json();
    let mut runs = runs.as_array().unwrap().iter();
    let next = runs.find(|run| run["key"]["run_id"] == "next");
    next.unwrap()["parts"]["words"].clone()
}

fn state(place: &Place) -> String {
    part(place)["state"].as_str().unwrap().to_owned()
}

/// All records of both are in what it was published in.
#[track_caller]
fn assert_all_there(place: &Place) {
    let part = part(place);
    assert_eq!(part["state"], "COMPLETED", "{part}");
    let version = part["version"].as_str().unwrap();
    let dir = format!("d/objects/words/snapshot/timestamped/{version}");
    let report = place.say(&format!("store verify {dir} --full --json"));
    let report = report.json();
    assert_eq!(report["collections"][0]["records"], 2 * RECORDS);
}

/// What a drain was at when space ran out first.
#[track_caller]
fn stage(said: &Said) -> &'static str {
    let is_full = |line: &&str| FULL.iter().any(|full| line.contains(full));
    let Some(line) = said.stderr.lines().find(is_full) else {
        panic!("no word of a lack of space: {said}");
    };
    let stage = STAGES.into_iter().find(|stage| line.contains(stage));
    stage.unwrap_or("another stage")
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

/// All that is in `d`, on a disk of its own.
struct Disk {
    /// Unmounted before its place is removed.
    mounted: Mounted,
    place: Place,
}

impl Disk {
    fn new(settings: &str) -> Option<Self> {
        let place = Place::new();
        place.expects(&FULL);
        // A lease that short is lost on a slow disk.
        place.expects(&["CC-LEASE-LOST"]);
        let mounted = Mounted::at(&place, "d", "64m")?;
        prepare(&place, settings);
        Some(Self { mounted, place })
    }

    /// Drains with so much space left, then with enough of it. What the first drain was at when
    /// space ran out, if it did.
    fn drain_with(&self, kibibytes: u64) -> Option<&'static str> {
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
        Some(stage(&said))
    }
}

#[track_caller]
fn assert_among(stages: &BTreeSet<&str>, expected: &[&str]) {
    for stage in expected {
        assert!(stages.contains(stage), "never at {stage:?}: {stages:?}");
    }
}

#[test]
fn space_for_working_copies() {
    let (mut failed, mut stages) = (0, BTreeSet::new());
    for kibibytes in [64, 300, 500, 700, 900, 1200, 1500, 2000, 8000] {
        let place = waiting();
        let Some(mounted) = Mounted::at(&place, "d/scratch", &format!("{kibibytes}k")) else {
            return;
        };
        let said = place.say(DRAIN);
        if said.exit != Some(0) {
            stages.insert(stage(&said));
        }
        if !assert_nothing_is_buried(&place, said, &FULL) {
            failed += 1;
        }
        drop(mounted);
        place.say(DRAIN).succeeds();
        assert_all_there(&place);
    }
    assert!((2..9).contains(&failed), "{failed} of 9 had too little");
    assert_among(&stages, &["/delta-0", "/snapshot-0"]);
}

/// Working copies, objects and queue fill one disk.
#[test]
fn space_for_everything() {
    let (mut stages, mut is_through) = (BTreeSet::new(), false);
    for kibibytes in (0_u64..8000).step_by(200) {
        let Some(disk) = Disk::new(SHORT) else {
            return;
        };
        let Some(stage) = disk.drain_with(kibibytes) else {
            is_through = true;
            break;
        };
        stages.insert(stage);
    }
    assert!(is_through, "{stages:?}");
    assert_among(&stages, &["/delta-0", "/snapshot-0", "upload object"]);
}

/// Working copies are elsewhere. Looks for what is just enough, and goes there page by page: that is
/// where small objects and the pointer are put.
#[test]
fn space_for_what_is_stored() {
    let settings = format!("{SHORT}[worker]\nscratch = \"scratch\"\n");
    let mut stages = BTreeSet::new();
    let (mut little, mut enough) = (0_u64, 2048_u64);
    while enough - little > 8 {
        let middle = little.midpoint(enough);
        let Some(disk) = Disk::new(&settings) else {
            return;
        };
        match disk.drain_with(middle) {
            Some(stage) => {
                stages.insert(stage);
                little = middle;
            }
            None => enough = middle,
        }
    }
    let for_the_queue = (24_u64..56).step_by(8);
    let for_small_objects = (enough.saturating_sub(48)..enough).step_by(8);
    for kibibytes in for_the_queue.chain(for_small_objects) {
        let Some(disk) = Disk::new(&settings) else {
            return;
        };
        stages.extend(disk.drain_with(kibibytes));
    }
    let expected = ["receive messages", "upload object", "put object"];
    assert_among(&stages, &expected);
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
