//! Bytes that change on the way. What is said of a delta must be true of the one in the bucket.

use compactor_core::RunState;
use compactor_core::keys;

use crate::deltas::Delta;
use crate::world::{Backend, Kind, World};

/// The archive of the delta arrives damaged so many times, and then as it is.
fn damaged_so_often(times: usize) -> World {
    let world = World::new(Kind::Fakes);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    let Backend::Fakes { objects, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    let key = keys::delta_archive(&world.prefix("run-a", "lines"));
    let sound = objects.body(&key).unwrap();
    let mut damaged = sound.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    let (store, mut downloads) = (objects.clone(), 0);
    objects.faults.when(move |call| {
        if call.operation == "download" && call.target == key {
            downloads += 1;
            match downloads > times {
                true => store.insert(&key, sound.clone()),
                false => store.insert(&key, damaged.clone()),
            }
        }
        None
    });
    world
}

#[test]
fn a_delta_that_arrives_damaged_is_fetched_again() {
    let world = damaged_so_often(1);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.failed), (1, 0));
    assert_eq!(world.content("lines"), Delta::of("lines", "a", 2).content());
}

#[test]
fn what_arrives_damaged_twice_is_damaged() {
    let world = damaged_so_often(2);
    world.expects(&["CS-ARCHIVE-DAMAGED"]);
    assert_eq!(world.drain().failed, 1);
    assert_eq!(world.state("run-a", "lines"), RunState::Failed);
}
