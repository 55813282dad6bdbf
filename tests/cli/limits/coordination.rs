//! A full disk for the queue, the locks and the records.

use compactor_testkit::cli::{FAILURE, Workdir};
use rusqlite::Connection;
use rustix::process::Signal;

use super::{
    DATABASE, DRAIN, Disk, OF_COORDINATION, OF_ITS_FAILURE, PAGE, RECORDS, Stages,
    assert_all_there, assert_among, part, stages, until_enough,
};
use crate::daemon::Daemon;
use crate::unwritable_paths::Mounted;

/// Goes a few pages beyond the first size that is enough, because that depends on how often the lease is
/// renewed.
#[test]
fn daemon_without_space_for_queue_and_locks_buries_no_run() {
    let pages = (7..200).map(|pages| pages * PAGE);
    let drain = |kibibytes| Some(Disk::of_coordination()?.drain_with(kibibytes));
    assert_among(until_enough(pages, 8, drain), &OF_COORDINATION);
}

#[test]
fn failure_of_a_run_is_recorded_once_the_full_disk_has_space() {
    let pages = (8..200).step_by(2).map(|pages| pages * PAGE);
    assert_among(until_enough(pages, 2, fail_with), &OF_ITS_FAILURE);
}

/// Drains with little space a run that can never be published. Its failure must be recorded as soon as there
/// is space, and its message must become exactly one dead letter.
fn fail_with(kibibytes: u64) -> Option<Option<Stages>> {
    let disk = Disk::of_coordination()?;
    let place = &disk.place;
    place.expects(&["CS-ARCHIVE-DAMAGED"]);
    place.say(DRAIN).succeeds();
    place
        .say("submit words=next --data d --run-id torn")
        .succeeds();
    place.write("d/objects/words/delta/torn/delta.tar.gz", "no archive");
    disk.mounted.leave(kibibytes);
    let said = place.say(DRAIN);
    disk.mounted.leave(64 << 10);
    place.say(DRAIN).succeeds();
    assert_eq!(part(place, "torn")["state"], "FAILED");
    assert_eq!(messages(place), (0, 1), "waiting and dead");
    let is_through = said.exit == Some(0);
    Some((!is_through).then(|| stages(&said.exits(FAILURE))))
}

/// The working copy does not fit, and neither does the record that keeps the message hidden.
#[test]
fn run_that_waits_while_both_disks_are_full_is_published_later() {
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

/// The number of waiting messages, and of dead letters.
fn messages(place: &Workdir) -> (u64, u64) {
    let database = Connection::open(place.path("d").join(DATABASE)).unwrap();
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (count("messages"), count("dead_letters"))
}
