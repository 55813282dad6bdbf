//! A collection's first snapshot is made after the first delta that is good, whatever bad ones
//! come before it.

use chroma_store::{SchemaLevel, Space};
use compactor_core::RunState;
use compactor_snapshots::FirstSnapshot;

use crate::deltas::Delta;
use crate::sabotage::{self, changed, sql};
use crate::world::World;

/// A second vector of NaNs in the log.
const NOT_A_NUMBER: &str = "UPDATE embeddings_queue
    SET vector = x'0000c07f0000803f000000bf00000000' WHERE seq_id = 2";

fn assert_good_is_published(world: &World, good: &Delta, bad: &str) {
    let snapshot = world.snapshot("lines");
    let snapshot = snapshot.unwrap_or_else(|| {
        let error = world.part("run-good", "lines").error;
        panic!("after {bad} nothing was published: {error:?}")
    });
    assert_eq!(snapshot.content, good.content(), "{bad}");
    let rows = &snapshot.manifest.rows;
    assert_eq!(rows.space, good.space.to_string(), "{bad}");
    assert_eq!(rows.schema_level, good.level.to_string(), "{bad}");
    assert_eq!(world.state("run-good", "lines"), RunState::Completed);
}

both!(first_snapshot_takes_level_and_space_of_delta);
fn first_snapshot_takes_level_and_space_of_delta(world: World) {
    let kind = world.kind;
    for level in SchemaLevel::ALL {
        for space in [Space::L2, Space::Cosine, Space::Ip] {
            let world = World::new(kind);
            let mut good = Delta::of("lines", "a", 2);
            (good.level, good.space) = (level, space);
            world.submit("run-good", &[&good]);
            world.drain();
            assert_good_is_published(&world, &good, "nothing");
        }
    }
}

both!(first_snapshot_takes_configured_level);
fn first_snapshot_takes_configured_level(world: World) {
    let world = world.with(|settings| settings.first = FirstSnapshot::AtLevel(SchemaLevel::L10));
    let mut good = Delta::of("lines", "a", 2);
    world.submit("run-good", &[&good]);
    world.drain();
    good.level = SchemaLevel::L10;
    assert_good_is_published(&world, &good, "nothing");
}

both!(bad_delta_ahead_of_good_one_does_not_stop_first_snapshot);
/// Every kind of bad delta in front of a good one, in a collection that has no snapshot. There is
/// one receive only: the good run has no second chance without its neighbour.
fn bad_delta_ahead_of_good_one_does_not_stop_first_snapshot(world: World) {
    let kind = world.kind;
    let relative = ["wrong-dimension", "wrong-space"];
    for bad in &sabotage::ALL {
        if relative.contains(&bad.name) {
            continue;
        }
        let world = World::with_max_receives(kind, 1);
        let good = Delta::of("lines", "a", 2);
        bad.submit(&world);
        world.submit("run-good", &[&good]);
        world.drain();
        assert_good_is_published(&world, &good, bad.name);
        assert_eq!(world.code(bad.name, "lines"), bad.code);
    }
}

both!(bad_delta_does_not_choose_space_of_first_snapshot);
fn bad_delta_does_not_choose_space_of_first_snapshot(world: World) {
    let world = limited_to_one_receive(&world);
    let (mut bad, good) = (Delta::of("lines", "bad", 2), Delta::of("lines", "a", 2));
    bad.space = Space::L2;
    bad_by_sql(&world, &bad, NOT_A_NUMBER);
    world.submit("run-good", &[&good]);
    world.drain();
    assert_eq!(world.code("bad", "lines"), "CS-NOT-FINITE");
    assert_good_is_published(&world, &good, "a bad delta in another space");
}

both!(bad_delta_does_not_choose_level_of_first_snapshot);
fn bad_delta_does_not_choose_level_of_first_snapshot(world: World) {
    let world = limited_to_one_receive(&world);
    let (mut bad, good) = (Delta::of("lines", "bad", 2), Delta::of("lines", "a", 2));
    bad.level = SchemaLevel::L06;
    bad_by_sql(&world, &bad, NOT_A_NUMBER);
    world.submit("run-good", &[&good]);
    world.drain();
    assert_eq!(world.code("bad", "lines"), "CS-NOT-FINITE");
    assert_good_is_published(&world, &good, "a bad delta of another level");
}

both!(bad_delta_leaves_no_partial_directory_for_first_snapshot);
fn bad_delta_leaves_no_partial_directory_for_first_snapshot(world: World) {
    let world = limited_to_one_receive(&world);
    let good = Delta::of("lines", "a", 2);
    world.expects(&["CS-DAMAGED"]);
    // Read only when the new directory exists already: a number column that holds text.
    sql(
        &world,
        "bad",
        "INSERT INTO collection_metadata (collection_id, key, int_value)
         SELECT id, 'made_by', 'a careless program' FROM collections",
    );
    world.submit("run-good", &[&good]);
    world.drain();
    assert_good_is_published(&world, &good, "a bad delta with odd collection metadata");
}

both!(stray_files_of_first_delta_are_not_published);
fn stray_files_of_first_delta_are_not_published(world: World) {
    changed(&world, "run-a", |dir| {
        std::fs::write(dir.join("readme.txt"), "no file of Chroma's").unwrap();
    });
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    let manifest = world.snapshot("lines").unwrap().manifest;
    let files: Vec<_> = manifest.files.iter().map(|file| &file.path).collect();
    assert_eq!(files, ["chroma.sqlite3"]);
}

fn limited_to_one_receive(world: &World) -> World {
    World::with_max_receives(world.kind, 1)
}

fn bad_by_sql(world: &World, delta: &Delta, statement: &str) {
    world.expects(&["CS-NOT-FINITE"]);
    let store = delta.write(world, &world.folder("bad"));
    let database = rusqlite::Connection::open(store.dir().join("chroma.sqlite3")).unwrap();
    database.execute_batch(statement).unwrap();
    drop(database);
    world.upload_packed("bad", "lines", &store);
    world.announce("bad", "lines");
}
