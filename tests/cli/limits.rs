//! A daemon that lacks something: space for its working copies, for what it stores, or descriptors.
//! However far it gets, no run is buried for that, and when there is enough of it the run is
//! published.

mod coordination;
mod descriptors;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use compactor_testkit::cli::{FAILURE, Said, Workdir};
use compactor_testkit::fixture::directory;
use serde_json::Value;

use crate::COMPACTOR;
use crate::unwritable_paths::Mounted;

/// What cannot be given back for want of space is free again soon.
const SHORT: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nvisibility = \"2s\"\npoll_wait = \"100ms\"\n\
     [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n";

/// What drains were at when there was no space.
type Stages = BTreeSet<&'static str>;

const DRAIN: &str = "run --drain --data d --config c.toml";

/// Where queue, locks and records are.
const DATABASE: &str = "coordination.sqlite3";

/// Of a small disk, in kibibytes.
const PAGE: u64 = 4;
/// More than any of these takes, in kibibytes.
const ENOUGH: u64 = 8192;

/// How the want of space is told.
const FULL: [&str; 3] = ["No space left", "disk is full", "disk I/O error"];

/// What a drain may be at when space runs out, in their order, and the words that tell. The working
/// copies, of which the second is downloaded and then merged into:
const OF_SCRATCH: [&str; 3] = ["/delta-0", "download object … /snapshot-0", "CS-SQLITE"];
/// Where every run is flushed, its index files; where a snapshot is an archive, that:
const OF_FLUSHING: &str = "/data_level0.bin";
const OF_PACKING: &str = "/snapshot.tar.gz";
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

/// In the snapshot and in the run that waits, each, if nothing else is said.
const RECORDS: usize = 400;
/// So many that a snapshot takes more space when it is packed than when it was merged.
const MANY: usize = 1500;

fn prepare(place: &Workdir, settings: &str, records: usize) {
    place.write("c.toml", settings);
    directory(place, "base", "words", records, 64);
    place.say("submit words=base --data d").succeeds();
    place.say("run --drain --data d").succeeds();
    directory(place, "next", "words", records, 64);
    place
        .say("submit words=next --data d --run-id next")
        .succeeds();
}

/// What is recorded of a run.
fn part(place: &Workdir, run: &str) -> Value {
    let runs = place.say("runs --data d --json").json();
    let mut runs = runs.as_array().unwrap().iter();
    let found = runs.find(|found| found["key"]["run_id"] == run);
    found.unwrap()["parts"]["words"].clone()
}

/// Of the run that waits, or waited.
fn state(place: &Workdir) -> String {
    part(place, "next")["state"].as_str().unwrap().to_owned()
}

/// All records of both are in what it was published in.
#[track_caller]
fn assert_all_there(place: &Workdir, records: usize) {
    let part = part(place, "next");
    assert_eq!(part["state"], "COMPLETED", "{part}");
    let version = part["version"].as_str().unwrap();
    let mut dir = format!("d/objects/words/snapshot/timestamped/{version}");
    let archive = place.path(&dir).join("snapshot.tar.gz");
    if archive.exists() {
        "unpacked".clone_into(&mut dir);
        std::fs::create_dir(place.path(&dir)).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).current_dir(place.path(&dir));
        assert!(tar.status().unwrap().success());
    }
    let report = place.say(&format!("store verify {dir} --full --json"));
    let report = report.json();
    assert_eq!(report["collections"][0]["records"], 2 * records);
}

/// What a drain was at when there was no space.
#[track_caller]
fn stages(said: &Said) -> Stages {
    let is_full = |line: &&str| FULL.iter().any(|full| line.contains(full));
    let lines: Vec<&str> = said.stderr.lines().filter(is_full).collect();
    assert!(!lines.is_empty(), "no word of a lack of space: {said}");
    let all = OF_SCRATCH.iter().chain(&OF_OBJECTS).chain(&OF_COORDINATION);
    let all = all
        .chain(&OF_ITS_FAILURE)
        .chain([&OF_FLUSHING, &OF_PACKING]);
    let told = |stage: &&&str| {
        let is_told = |line: &&str| stage.split(" … ").all(|word| line.contains(word));
        lines.iter().any(is_told)
    };
    all.filter(told).copied().collect()
}

/// A disk for a part of the data, or for all of it.
struct Disk {
    /// Unmounted before its place is removed.
    mounted: Mounted,
    place: Workdir,
    /// In the snapshot and in the run that waits, each.
    records: usize,
}

impl Disk {
    /// Of all that is in `d`.
    fn of_everything() -> Option<Self> {
        Self::at("d", SHORT, RECORDS, |_| {})
    }

    /// Of what is in `d`, without queue, locks, records and working copies.
    fn of_objects() -> Option<Self> {
        Self::at("d", &elsewhere(), RECORDS, |place| {
            std::fs::create_dir(place.path("coordination")).unwrap();
            link_coordination(place);
        })
    }

    /// Of queue, locks and records alone.
    fn of_coordination() -> Option<Self> {
        // The lease is renewed while there is no space for that.
        let settings = elsewhere().replace("500ms", "20ms");
        Self::at("coordination", &settings, RECORDS, |place| {
            std::fs::create_dir(place.path("d")).unwrap();
            link_coordination(place);
        })
    }

    /// Of working copies alone.
    fn of_scratch(settings: &str, records: usize) -> Option<Self> {
        let settings = format!("{SHORT}{settings}");
        Self::at("d/scratch", &settings, records, |_| {})
    }

    fn at(
        folder: &str,
        settings: &str,
        records: usize,
        arrange: impl Fn(&Workdir),
    ) -> Option<Self> {
        let place = Workdir::new(COMPACTOR);
        place.expects(&FULL);
        // A lease that short is lost on a slow disk.
        place.expects(&["CC-LEASE-LOST"]);
        let mounted = Mounted::at(&place, folder, "64m")?;
        arrange(&place);
        prepare(&place, settings, records);
        Some(Self {
            mounted,
            place,
            records,
        })
    }

    /// Drains with so much space left, then with enough of it. What the first drain was at when
    /// there was none; `None` if it was through.
    fn drain_with(&self, kibibytes: u64) -> Option<Stages> {
        let place = &self.place;
        self.mounted.leave(kibibytes);
        let said = place.say(DRAIN);
        self.mounted.leave(64 << 10);
        if said.exit == Some(0) {
            assert_all_there(place, self.records);
            return None;
        }
        let said = said.exits(FAILURE);
        assert_ne!(state(place), "FAILED", "{said}");
        place.say(DRAIN).succeeds();
        assert_all_there(place, self.records);
        Some(stages(&said))
    }
}

/// Working copies are on a disk with space.
fn elsewhere() -> String {
    format!("{SHORT}[worker]\nscratch = \"scratch\"\n")
}

/// The database lies in a folder beside `d`; SQLite keeps its journal there as well.
fn link_coordination(place: &Workdir) {
    let link = place.path("d").join(DATABASE);
    symlink(Path::new("../coordination").join(DATABASE), link).unwrap();
}

/// They were at each of these; unless nothing was done, for want of rights.
#[track_caller]
fn assert_among(stages: Option<Stages>, expected: &[&str]) {
    let Some(stages) = stages else {
        return;
    };
    for stage in expected {
        assert!(stages.contains(stage), "never at {stage:?}: {stages:?}");
    }
}

#[test]
fn daemon_without_space_for_working_copies_buries_no_run() {
    let seen = with_more_and_more(|| Disk::of_scratch("", RECORDS));
    assert_among(seen, &OF_SCRATCH);
}

#[test]
fn daemon_without_space_for_index_files_buries_no_run() {
    let always = "[flush]\nwhen = \"always\"\n";
    let seen = with_more_and_more(|| Disk::of_scratch(always, RECORDS));
    assert_among(seen, &[OF_FLUSHING]);
}

#[test]
fn daemon_without_space_for_an_archive_buries_no_run() {
    let archive = "[snapshot]\nlayout = \"archive\"\n";
    let seen = with_almost_enough(|| Disk::of_scratch(archive, MANY));
    assert_among(seen, &[OF_PACKING]);
}

/// Working copies, objects and queue fill one disk.
#[test]
fn daemon_on_one_full_disk_for_all_its_data_buries_no_run() {
    let seen = with_more_and_more(Disk::of_everything);
    let [delta, base, _] = OF_SCRATCH;
    let [database, _, _] = OF_OBJECTS;
    assert_among(seen, &[delta, base, database]);
}

/// Small objects and the pointer are put last.
#[test]
fn daemon_without_space_for_objects_buries_no_run() {
    assert_among(with_almost_enough(Disk::of_objects), &OF_OBJECTS);
}

/// In steps of 100 KiB, until there is enough.
fn with_more_and_more(disk: impl Fn() -> Option<Disk>) -> Option<Stages> {
    let steps = (100..ENOUGH).step_by(100);
    until_enough(steps, 1, |kibibytes| Some(disk()?.drain_with(kibibytes)))
}

/// Until there was enough so many times. `drain` tells what it was at, nothing if it was through, and
/// not even that if it has no rights.
fn until_enough(
    kibibytes: impl Iterator<Item = u64>,
    times: usize,
    drain: impl Fn(u64) -> Option<Option<Stages>>,
) -> Option<Stages> {
    let (mut seen, mut through) = (Stages::new(), 0);
    for kibibytes in kibibytes {
        match drain(kibibytes)? {
            Some(stages) => seen.extend(stages),
            None => through += 1,
        }
        if through == times {
            return Some(seen);
        }
    }
    panic!("never enough: {seen:?}");
}

/// Looks for what is just enough, and goes there page by page. What drains were at that had too
/// little.
fn with_almost_enough(disk: impl Fn() -> Option<Disk>) -> Option<Stages> {
    let mut seen = BTreeSet::new();
    let (mut little, mut enough) = (0_u64, ENOUGH);
    while enough - little > PAGE {
        let middle = little.midpoint(enough);
        match disk()?.drain_with(middle) {
            Some(stages) => {
                seen.extend(stages);
                little = middle;
            }
            None => enough = middle,
        }
    }
    assert!(enough < ENOUGH, "never enough: {seen:?}");
    for pages in 1..8 {
        let kibibytes = enough.saturating_sub(pages * PAGE);
        seen.extend(disk()?.drain_with(kibibytes).unwrap_or_default());
    }
    Some(seen)
}
