//! The sweep of superseded versions: it deletes nothing that a reader could be using and nothing
//! that the pointer names, whatever happens meanwhile.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::keys;
use compactor_core::retention::RetentionPolicy;
use compactor_snapshots::Step;
use compactor_snapshots::{Origins, Sweep, SweepMode, Swept};

use crate::deltas::Delta;
use crate::hooks::Script;
use crate::process::Ended;
use crate::world::{Backend, Kind, World, lineage};

const AGE: Duration = Duration::from_secs(12 * 60 * 60);

/// Publishes `versions` versions and returns them, oldest first.
fn publish(world: &World, versions: usize) -> Vec<String> {
    let publish = |number: usize| {
        let delta = Delta::of("lines", &format!("d{number}"), 2);
        world.submit(&format!("run-{number}"), &[&delta]);
        world.drain();
        world.snapshot("lines").unwrap().version()
    };
    (0..versions).map(publish).collect()
}

fn clean(world: &World, versions: usize, age: Duration) -> Swept {
    let (policy, lines) = (RetentionPolicy { versions, age }, lineage("lines"));
    let sweep = Sweep {
        policy,
        mode: SweepMode::Delete,
        now: world.ports.clock.wall(),
    };
    let (repository, mut origins) = (world.repository(), Origins::default());
    let swept = repository.sweep(&lines, sweep, &mut origins);
    world.wait(swept).unwrap().unwrap()
}

fn deleted(done: &Swept) -> Vec<String> {
    done.versions.iter().map(ToString::to_string).collect()
}

both!(slow_reader_finds_all_files_of_resolved_version, in real time);
fn slow_reader_finds_all_files_of_resolved_version(world: World) {
    let mut versions = publish(&world, 1);
    // The pointer is read; the files are still to come.
    let resolved = world.wait(world.repository().resolve(&lineage("lines")));
    let resolved = resolved.unwrap().unwrap();
    for _ in 0..3 {
        let delta = Delta::of("lines", &format!("more{}", versions.len()), 1);
        world.submit(&format!("more-{}", versions.len()), &[&delta]);
        world.drain();
        versions.push(world.snapshot("lines").unwrap().version());
    }
    world.advance(AGE - Duration::from_secs(60));
    assert_eq!(deleted(&clean(&world, 1, AGE)), [""; 0], "within its age");
    let folder = tempfile::tempdir().unwrap();
    let limits = &world.settings.limits;
    let repository = world.repository();
    let fetching = repository.fetch(&resolved, folder.path(), limits);
    world.wait(fetching).unwrap();
    world.advance(Duration::from_secs(120));
    assert_eq!(deleted(&clean(&world, 1, AGE)), versions[..3]);
    world.content("lines");
}

// Uploads that were never published lie between the version that was resolved and the next one, and
// are older than any reader takes: they are no reason to delete what a reader resolved a moment ago.
#[test]
fn unpublished_uploads_do_not_age_published_version() {
    let world = World::with_max_receives(Kind::FakesInRealTime, 5);
    let versions = publish(&world, 1);
    let resolved = world.wait(world.repository().resolve(&lineage("lines")));
    let resolved = resolved.unwrap().unwrap();
    // For a night, each daemon that uploads is killed before the pointer moves.
    world.submit("run-night", &[&Delta::of("lines", "night", 1)]);
    for _ in 0..3 {
        let killed = world
            .drain_with(Script::kill_at(Step::Uploaded))
            .unwrap_err();
        assert!(matches!(killed, Ended::Crashed));
        world.let_everything_expire();
    }
    world.advance(AGE);
    assert!(world.uploads("lines").len() > 3, "nothing was left behind");
    world.drain();
    let newest = world.snapshot("lines").unwrap().version();
    assert_eq!(
        deleted(&clean(&world, 1, AGE)),
        [""; 0],
        "it was superseded a moment ago"
    );
    let folder = tempfile::tempdir().unwrap();
    let repository = world.repository();
    let fetching = repository.fetch(&resolved, folder.path(), &world.settings.limits);
    world.wait(fetching).unwrap();
    // They do not count as versions either.
    world.advance(AGE);
    assert_eq!(deleted(&clean(&world, 2, AGE)), [""; 0]);
    let gone = deleted(&clean(&world, 1, AGE));
    assert_eq!(gone[0], versions[0]);
    assert_eq!(world.uploads("lines"), [newest]);
}

/// The pointer moves all the time. The parents that older versions name are enough to delete what is
/// older still.
#[test]
fn superseded_versions_are_deleted_while_pointer_keeps_moving() {
    let world = World::new(Kind::FakesInRealTime);
    let mut versions = Vec::new();
    for number in 0..8 {
        let delta = Delta::of("lines", &format!("d{number}"), 1);
        world.submit(&format!("run-{number}"), &[&delta]);
        world.drain();
        versions.push(world.snapshot("lines").unwrap().version());
        world.advance(AGE / 4);
    }
    // The newest was published 3 hours ago, the fifth 12: it was made from the fourth, which the
    // pointer named by then, and no older one.
    assert_eq!(deleted(&clean(&world, 2, AGE)), versions[..3]);
    world.content("lines");
}

/// An operator puts the pointer back to an old version by hand, as the handbook says, and the daemon
/// goes on from there. The pointer left that version long ago, but named it again a moment ago.
#[test]
fn age_of_version_restarts_when_pointer_is_put_back_to_it() {
    let world = World::new(Kind::FakesInRealTime);
    world.expects(&["CC-OVERWRITTEN"]);
    let mut versions = publish(&world, 3);
    world.advance(AGE * 2);
    world.put(
        &keys::pointer(&lineage("lines")),
        versions[0].clone().into_bytes(),
    );
    world.submit("run-again", &[&Delta::of("lines", "again", 1)]);
    world.drain();
    versions.push(world.snapshot("lines").unwrap().version());
    assert_eq!(deleted(&clean(&world, 1, AGE)), [""; 0]);
    world.advance(AGE);
    assert_eq!(deleted(&clean(&world, 1, AGE)), versions[..3]);
}

both!(configured_number_of_versions_stays_whatever_their_age);
fn configured_number_of_versions_stays_whatever_their_age(world: World) {
    let versions = publish(&world, 4);
    world.advance(AGE * 2);
    assert_eq!(deleted(&clean(&world, 3, AGE)), versions[..1]);
    assert_eq!(deleted(&clean(&world, 1, AGE)), versions[1..3]);
    assert_eq!(deleted(&clean(&world, 0, Duration::ZERO)), [""; 0]);
    world.content("lines");
}

// An upload that the pointer never named is deleted with the versions around it, not before.
both!(unpublished_upload_is_deleted_once_superseded);
fn unpublished_upload_is_deleted_once_superseded(world: World) {
    let versions = publish(&world, 2);
    let orphan = "20200101_000000_000000_00000000";
    let newer = "20990101_000000_000000_00000000";
    for version in [orphan, newer] {
        let key = format!("lines/snapshot/timestamped/{version}/chroma.sqlite3");
        world.put(&key, b"half".to_vec());
    }
    world.advance(AGE * 2);
    let done = clean(&world, 1, AGE);
    assert_eq!(deleted(&done), [orphan, &versions[0]]);
    // It may still be published.
    let prefix = format!("lines/snapshot/timestamped/{newer}/");
    assert_eq!(world.keys(&prefix).len(), 1);
}

/// An operator moves the pointer to an old version by hand, between the listing and the deletion.
#[test]
fn sweep_reads_pointer_again_before_each_deletion() {
    let world = World::new(Kind::Fakes);
    let versions = publish(&world, 5);
    let Backend::Fakes { objects, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    let (store, back) = (Arc::clone(objects), versions[1].clone());
    let pointer = keys::pointer(&lineage("lines"));
    objects.faults.when(move |call| {
        if call.operation == "list_folders" {
            store.insert(&pointer, back.clone());
        }
        None
    });
    let done = clean(&world, 1, Duration::ZERO);
    assert_eq!(
        deleted(&done),
        versions[..1],
        "what is older than the pointer is now"
    );
    objects.faults.clear();
    assert_eq!(world.snapshot("lines").unwrap().version(), versions[1]);
}
