//! A daemon without enough disk space or file descriptors. It buries no run, however far it gets, and it
//! publishes the run once there is enough.

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

/// Messages and locks that a full disk keeps from being given back are soon free again.
const SHORT: &str = "[retry]\nfirst = \"10ms\"\nmax = \"50ms\"\nattempts = 2\n\
     [queue]\nvisibility = \"2s\"\npoll_wait = \"100ms\"\n\
     [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n";

/// The stages, by parts of their log lines, at which drains ran out of space.
type Stages = BTreeSet<&'static str>;

const DRAIN: &str = "run --drain --data d --config c.toml";

/// The database with the queue, the locks and the records.
const DATABASE: &str = "coordination.sqlite3";

/// The page size of a small disk, in KiB.
const PAGE: u64 = 4;
/// More space than any of these tests takes, in KiB.
const ENOUGH: u64 = 8192;

/// The log texts that report a full disk.
const FULL: [&str; 3] = ["No space left", "disk is full", "disk I/O error"];

/// Parts of the log lines at the stages that write working copies, in their order: the delta, the download
/// of the base, and the merge into it.
const OF_SCRATCH: [&str; 3] = ["/delta-0", "download object … /snapshot-0", "CS-SQLITE"];
/// The stage that writes index files, if every run is flushed.
const OF_FLUSHING: &str = "/data_level0.bin";
/// The stage that packs a snapshot into an archive.
const OF_PACKING: &str = "/snapshot.tar.gz";
/// The stages that write objects.
const OF_OBJECTS: [&str; 3] = ["/chroma.sqlite3", "/manifest.json", "/latest-pointer.txt"];
/// The stages that write to the queue, the locks and the records.
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

/// The stages that end a run that can never be published.
const OF_ITS_FAILURE: [&str; 2] = ["fail run", "dead-letter message"];

/// Records in the snapshot, and in the waiting run, unless a test chooses another number.
const RECORDS: usize = 400;
/// Records that make packing a snapshot take more space than merging it.
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

/// The record of a run's part for `words`, as JSON.
fn part(place: &Workdir, run: &str) -> Value {
    let runs = place.say("runs --data d --json").json();
    let mut runs = runs.as_array().unwrap().iter();
    let found = runs.find(|found| found["key"]["run_id"] == run);
    found.unwrap()["parts"]["words"].clone()
}

/// The state of the run `next`.
fn state(place: &Workdir) -> String {
    part(place, "next")["state"].as_str().unwrap().to_owned()
}

/// Checks that `next` is COMPLETED, and that its version has the records of both runs.
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

/// The stages at which a drain ran out of space.
#[track_caller]
fn stages(said: &Said) -> Stages {
    let is_full = |line: &&str| FULL.iter().any(|full| line.contains(full));
    let lines: Vec<&str> = said.stderr.lines().filter(is_full).collect();
    assert!(
        !lines.is_empty(),
        "the log does not mention the full disk: {said}"
    );
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

/// A small disk that has some or all of the data.
struct Disk {
    /// Declared first, so that it is unmounted before its folder is removed.
    mounted: Mounted,
    place: Workdir,
    /// The number of records in the snapshot, and in the waiting run.
    records: usize,
}

impl Disk {
    /// A disk for all of `d`.
    fn of_everything() -> Option<Self> {
        Self::at("d", SHORT, RECORDS, |_| {})
    }

    /// A disk for `d` without the queue, locks, records and working copies.
    fn of_objects() -> Option<Self> {
        Self::at("d", &elsewhere(), RECORDS, |place| {
            std::fs::create_dir(place.path("coordination")).unwrap();
            link_coordination(place);
        })
    }

    /// A disk for the queue, locks and records alone.
    fn of_coordination() -> Option<Self> {
        // Frequent renewals meet the full disk as well.
        let settings = elsewhere().replace("500ms", "20ms");
        Self::at("coordination", &settings, RECORDS, |place| {
            std::fs::create_dir(place.path("d")).unwrap();
            link_coordination(place);
        })
    }

    /// A disk for the working copies alone.
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
        // A lease this short is lost on a slow disk.
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

    /// Drains with `kibibytes` of space left, then with enough. Returns the stages at which the first drain
    /// ran out of space, or `None` if it completed.
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

/// Settings that put the working copies on a disk with enough space.
fn elsewhere() -> String {
    format!("{SHORT}[worker]\nscratch = \"scratch\"\n")
}

/// Links the database from a folder beside `d`. SQLite keeps its journal in that folder as well.
fn link_coordination(place: &Workdir) {
    let link = place.path("d").join(DATABASE);
    symlink(Path::new("../coordination").join(DATABASE), link).unwrap();
}

/// Checks that drains ran out of space at each of the `expected` stages. `None` means that the test had no
/// right to mount a disk.
#[track_caller]
fn assert_among(stages: Option<Stages>, expected: &[&str]) {
    let Some(stages) = stages else {
        return;
    };
    for stage in expected {
        assert!(
            stages.contains(stage),
            "space never ran out at {stage:?}: {stages:?}"
        );
    }
}

#[test]
fn daemon_without_space_for_working_copies_buries_no_run() {
    let seen = with_growing_space(|| Disk::of_scratch("", RECORDS));
    assert_among(seen, &OF_SCRATCH);
}

#[test]
fn daemon_without_space_for_index_files_buries_no_run() {
    let always = "[flush]\nwhen = \"always\"\n";
    let seen = with_growing_space(|| Disk::of_scratch(always, RECORDS));
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
    let seen = with_growing_space(Disk::of_everything);
    let [delta, base, _] = OF_SCRATCH;
    let [database, _, _] = OF_OBJECTS;
    assert_among(seen, &[delta, base, database]);
}

/// Small objects and the pointer are put last.
#[test]
fn daemon_without_space_for_objects_buries_no_run() {
    assert_among(with_almost_enough(Disk::of_objects), &OF_OBJECTS);
}

/// Drains with 100 KiB more each time, until there is enough.
fn with_growing_space(disk: impl Fn() -> Option<Disk>) -> Option<Stages> {
    let steps = (100..ENOUGH).step_by(100);
    until_enough(steps, 1, |kibibytes| Some(disk()?.drain_with(kibibytes)))
}

/// Drains with each of these sizes until `times` drains completed. `drain` returns `None` without the right
/// to mount a disk, and otherwise the stages at which space ran out, or `None` if it completed.
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
    panic!("no size was enough: {seen:?}");
}

/// Finds the size that is just enough by bisection, and drains with a few pages less. Returns the stages at
/// which space ran out.
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
    assert!(enough < ENOUGH, "no size was enough: {seen:?}");
    for pages in 1..8 {
        let kibibytes = enough.saturating_sub(pages * PAGE);
        seen.extend(disk()?.drain_with(kibibytes).unwrap_or_default());
    }
    Some(seen)
}
