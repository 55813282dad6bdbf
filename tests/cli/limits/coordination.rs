//! No space for queue, locks and records of runs.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rustix::process::Signal;

use super::{
    DATABASE, DRAIN, Disk, OF_COORDINATION, OF_ITS_FAILURE, PAGE, RECORDS, assert_all_there,
    assert_among, part, stages,
};
use crate::daemon::Daemon;
use crate::disk::Mounted;
use crate::fixture::directory;
use crate::place::{FAILURE, Place};

/// Page by page, until there is enough; and a little beyond that, as how much that is depends on how
/// often the lease is renewed.
#[test]
fn space_for_queue_and_locks() {
    let (mut seen, mut through) = (BTreeSet::new(), 0);
    for pages in 7..200 {
        let Some(disk) = Disk::of_coordination() else {
            return;
        };
        match disk.drain_with(pages * PAGE) {
            Some(stages) => seen.extend(stages),
            None => through += 1,
        }
        if through == 8 {
            break;
        }
    }
    assert!(through == 8, "{seen:?}");
    assert_among(&seen, &OF_COORDINATION);
}

/// A run that never can be published is not forgotten: its failure is recorded as soon as there is
/// space for that, and its message is a dead letter, once.
#[test]
fn space_to_say_that_a_run_failed() {
    let (mut seen, mut through) = (BTreeSet::new(), 0);
    for pages in (8..200).step_by(2) {
        let Some(disk) = Disk::of_coordination() else {
            return;
        };
        let place = &disk.place;
        place.expects(&["CS-DIMENSION"]);
        place.say(DRAIN).succeeds();
        directory(place, "wide", "words", 3, 5);
        place
            .say("submit words=wide --data d --run-id wide")
            .succeeds();
        disk.mounted.leave(pages * PAGE);
        let said = place.say(DRAIN);
        disk.mounted.leave(64 << 10);
        if said.exit == Some(0) {
            through += 1;
        } else {
            seen.extend(stages(&said.exits(FAILURE)));
        }
        place.say(DRAIN).succeeds();
        assert_eq!(part(place, "wide")["state"], "FAILED");
        assert_eq!(messages(place), (0, 1), "waiting and dead");
        if through == 2 {
            break;
        }
    }
    assert!(through == 2, "{seen:?}");
    assert_among(&seen, &OF_ITS_FAILURE);
}

/// A run that waits for space for its working copy, when there is none to keep it from others either.
#[test]
fn space_to_hold_a_run() {
    let Some(disk) = Disk::of_coordination() else {
        return;
    };
    let place = &disk.place;
    let Some(scratch) = Mounted::at(place, "scratch", "64k") else {
        return;
    };
    let mut daemon = Daemon::start(place, "run --data d --config c.toml");
    daemon.wait_for("Keep");
    disk.mounted.fill();
    daemon.wait_for("extend message");
    disk.mounted.leave(64 << 10);
    scratch.leave(64 << 10);
    daemon.wait_for("run completed");
    daemon.end(Signal::TERM).succeeds();
    place.say(DRAIN).succeeds();
    assert_all_there(place, RECORDS);
}

/// How many messages wait, and how many are dead.
fn messages(place: &Place) -> (u64, u64) {
    let database = Connection::open(place.path("d").join(DATABASE)).unwrap();
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (count("messages"), count("dead_letters"))
}
