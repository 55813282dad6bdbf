//! Bytes that change in transfer. What a record says of a delta must be true of the object in the
//! bucket.

use compactor_core::RunState;
use compactor_core::keys;

use crate::deltas::Delta;
use crate::world::{Backend, Kind, World};

/// The archive of the delta arrives damaged `times` times, and intact from then on.
fn damaged_in_transfers(times: usize) -> World {
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
fn delta_damaged_in_transfer_is_fetched_again() {
    let world = damaged_in_transfers(1);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.failed), (1, 0));
    assert_eq!(world.content("lines"), Delta::of("lines", "a", 2).content());
}

#[test]
fn delta_damaged_in_two_transfers_fails_its_run() {
    let world = damaged_in_transfers(2);
    world.expects(&["CS-ARCHIVE-DAMAGED"]);
    assert_eq!(world.drain().failed, 1);
    assert_eq!(world.state("run-a", "lines"), RunState::Failed);
}
