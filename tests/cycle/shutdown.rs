//! The end of a daemon that was asked to stop: messages are given back when nothing is received any
//! more, and a permanent failure is returned.

use std::time::Duration;

use compactor_core::fakes::Inject;
use compactor_core::keys;
use compactor_core::ports::Fault;
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::Delta;
use crate::hooks::Script;
use crate::world::{Backend, Kind, World, lineage};

#[test]
fn message_received_while_stopping_is_given_back_at_once() {
    let world = World::new(Kind::Fakes);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    let Backend::Fakes { queue, .. } = &world.backend else {
        panic!("fakes");
    };
    // Asked to stop while the receive is under way that brings the message.
    let stop = CancellationToken::new();
    let at_receive = stop.clone();
    queue.faults.when(move |call| {
        if call.operation == "receive" {
            at_receive.cancel();
        }
        None
    });
    let diary = Script::watch();
    world.run_until(&stop, diary.clone()).unwrap();
    assert_eq!(diary.count(Step::Received), 0);
    assert_eq!(queue.faults.count("receive"), 1);
    queue.faults.clear();
    let depth = world.depth();
    assert_eq!((depth.visible, depth.in_flight), (1, 0), "at once");
    assert_eq!(world.drain().completed, 1);
}

/// A receive is nearly always under way. A message that is given back before it ends would be
/// received again.
#[test]
fn stop_uses_up_one_receive_only() {
    for kind in [Kind::FakesInRealTime, Kind::Local] {
        let world = World::new(kind).with(|settings| settings.poll_wait = Duration::from_secs(1));
        world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
        let stop = CancellationToken::new();
        let hooks = Script::stop_at(Step::Merged, &stop);
        world.run_until(&stop, hooks).unwrap();
        let queue = &world.ports.queue;
        let received = queue.receive(1, Duration::ZERO, Duration::from_secs(60));
        let received = world.wait(received).unwrap();
        assert_eq!(received.len(), 1, "it was given back");
        assert_eq!(received[0].receive_count, 2, "{kind:?}");
    }
}

/// The daemon returns an error that no retry changes, although it was about to end anyway.
#[test]
fn permanent_failure_while_stopping_is_returned() {
    let world = World::new(Kind::Fakes);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let Backend::Fakes { objects, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    let stop = CancellationToken::new();
    let (at_put, pointer) = (stop.clone(), keys::pointer(&lineage("lines")));
    objects.faults.when(move |call| {
        let is_swap = call.operation == "put" && call.target == pointer;
        is_swap.then(|| {
            at_put.cancel();
            Inject::FailBefore(Fault::Unsupported)
        })
    });
    let error = world.run_until(&stop, Script::watch()).unwrap_err();
    assert_eq!(error.code(), "CC-PORT-UNSUPPORTED");
    objects.faults.clear();
    let depth = world.depth();
    assert_eq!((depth.in_flight, depth.dead), (0, 0), "given back");
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), delta.content());
}
