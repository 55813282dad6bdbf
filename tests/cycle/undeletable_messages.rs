//! A queue that refuses to delete messages, or to let them be held. No run that is completed may be
//! buried because of it.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::RunState;
use compactor_core::fakes::{Call, FakeQueue, Inject};
use compactor_core::ports::{Acquired, Fault};
use uuid::Uuid;

use crate::deltas::Delta;
use crate::process::Ended;
use crate::world::{Backend, Kind, World, lineage};

const STARTS: u32 = 8;

fn queue(world: &World) -> &FakeQueue {
    match &world.backend {
        Backend::Fakes { queue, .. } => queue,
        Backend::Local { .. } => unreachable!("asked for fakes"),
    }
}

/// A run waits in a world of fakes, and these calls are refused; the probe's are not.
fn refusing(operations: &'static [&'static str]) -> World {
    let world = World::new(Kind::Fakes);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    queue(&world).faults.when(move |call: &Call| {
        let is_probe = call.target.ends_with("nobody");
        let refuses = operations.contains(&call.operation) && !is_probe;
        refuses.then_some(Inject::FailBefore(Fault::Denied))
    });
    world
}

fn is_denied(error: &Ended) -> bool {
    error.code() == "CC-PORT-DENIED" && error.to_string().starts_with("queue: ")
}

#[test]
fn message_that_cannot_be_deleted_is_deleted_later() {
    // A message that waits to be deleted takes no room from the next ones.
    for in_flight in [1, 1000] {
        deleted_in_the_end(in_flight);
    }
}

fn deleted_in_the_end(in_flight: usize) {
    let world = World::new(Kind::Fakes).with(|settings| settings.in_flight = in_flight);
    world.expects(&[
        "trying again",
        "cannot delete a message",
        "cannot use the queue",
    ]);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    // All attempts of the cycle, and one more.
    let mut left = world.settings.attempts + 1;
    queue(&world).faults.when(move |call| {
        let fails = call.operation == "delete" && !call.target.ends_with("nobody") && left > 0;
        left -= u32::from(fails);
        fails.then_some(Inject::FailBefore(Fault::Throttled))
    });
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (1, 1));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert_eq!(world.content("lines"), delta.content());
}

#[test]
fn daemon_without_right_to_delete_ends_before_next_message() {
    let world = refusing(&["delete"]);
    world.expects(&["cannot delete a message", "cannot be deleted"]);
    let error = world.try_drain().unwrap_err();
    assert!(is_denied(&error), "{error}");
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    // The right is missing at the next starts: none of them receives anything.
    queue(&world).faults.clear();
    let faults = &queue(&world).faults;
    faults.when(|call| (call.operation == "delete").then_some(Inject::FailBefore(Fault::Denied)));
    for _ in 0..STARTS {
        world.let_everything_expire();
        let error = world.try_drain().unwrap_err();
        assert!(is_denied(&error), "{error}");
    }
    faults.clear();
    world.let_everything_expire();
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (1, 0));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

/// An error about one message is no fault of the queue: SQS refuses to hide a message for longer than
/// 12 hours.
#[test]
fn message_that_cannot_be_extended_does_not_end_daemon() {
    let world = World::new(Kind::Fakes);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    world.expects(&["cannot extend a message", "cannot give a message back"]);
    let mut left = 1;
    queue(&world).faults.when(move |call| {
        let changes = matches!(call.operation, "extend" | "release");
        let refuses = changes && !call.target.ends_with("nobody") && left > 0;
        left -= u32::from(refuses);
        refuses.then_some(Inject::FailBefore(Fault::Invalid))
    });
    let term = Duration::from_secs(60);
    let (leases, other) = (Arc::clone(&world.ports.leases), Uuid::from_u128(7));
    let taken = world.wait(leases.acquire(&lineage("lines"), other, term));
    assert_eq!(taken.unwrap(), Acquired::Held);
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

#[test]
fn daemon_without_right_to_hold_messages_ends() {
    let world = refusing(&["extend", "release"]);
    world.expects(&["cannot extend a message", "cannot give a message back"]);
    let term = Duration::from_secs(3600);
    let (leases, other) = (Arc::clone(&world.ports.leases), Uuid::from_u128(7));
    let taken = world.wait(leases.acquire(&lineage("lines"), other, term));
    assert_eq!(taken.unwrap(), Acquired::Held);
    let error = world.try_drain().unwrap_err();
    assert!(is_denied(&error), "{error}");
    assert_eq!(world.state("run-a", "lines"), RunState::Pending);
    queue(&world).faults.clear();
    world.let_everything_expire();
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}
