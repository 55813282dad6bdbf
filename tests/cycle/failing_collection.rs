//! A drain while one collection is in trouble: the others are drained, and it ends with the error,
//! without waiting for what other workers hold.

use std::time::Duration;

use compactor_core::RunState;
use compactor_core::fakes::{FakeObjectStore, Inject};
use compactor_core::ports::Fault;

use crate::deltas::Delta;
use crate::world::{Backend, Kind, World};

/// From now on no snapshot of lines can be reached.
fn lines_are_away(world: &World) -> &FakeObjectStore {
    let Backend::Fakes { objects, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    objects.faults.when(|call| {
        let is_away = call.target.starts_with("lines/snapshot/");
        is_away.then_some(Inject::FailBefore(Fault::Transient))
    });
    objects
}

#[test]
fn drain_finishes_other_collections_and_returns_error() {
    let world = World::new(Kind::Fakes);
    world.expects(&["CC-PORT-TRANSIENT"]);
    let (lines, words) = (Delta::of("lines", "a", 2), Delta::of("words", "b", 3));
    world.submit("run-a", &[&lines]);
    world.submit("run-b", &[&words]);
    let objects = lines_are_away(&world);
    let error = world.try_drain().unwrap_err();
    assert_eq!(error.code(), "CC-PORT-TRANSIENT");
    assert_eq!(world.state("run-b", "words"), RunState::Completed);
    assert_eq!(world.content("words"), words.content());
    assert_eq!(world.state("run-a", "lines"), RunState::Pending);
    let depth = world.depth();
    assert_eq!((depth.visible, depth.in_flight, depth.dead), (1, 0, 0));
    // When the store answers again:
    objects.faults.clear();
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), lines.content());
}

#[test]
fn failing_drain_does_not_wait_for_messages_of_other_workers() {
    // On an automatic clock a wait would make the others' messages visible at once.
    let world = World::new(Kind::FakesInRealTime);
    world.expects(&["CC-PORT-TRANSIENT"]);
    let (lines, words) = (Delta::of("lines", "a", 2), Delta::of("words", "b", 3));
    world.submit("run-theirs", &[&words]);
    let hidden = Duration::from_secs(20);
    let received = world.ports.queue.receive(1, Duration::ZERO, hidden);
    assert_eq!(world.wait(received).unwrap().len(), 1);
    world.submit("run-ours", &[&lines]);
    lines_are_away(&world);
    let error = world.try_drain().unwrap_err();
    assert_eq!(error.code(), "CC-PORT-TRANSIENT");
    assert_eq!(world.state("run-theirs", "words"), RunState::Pending);
    let depth = world.depth();
    assert_eq!((depth.visible, depth.in_flight, depth.dead), (1, 1, 0));
}
