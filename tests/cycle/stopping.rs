//! A daemon that is asked to stop gives back what it has not published, at once and untouched;
//! what it has published it records and acknowledges first.

use compactor_core::RunState;
use compactor_daemon::cycle::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::World;

const BEFORE_THE_UPLOAD_ENDS: [Step; 7] = [
    Step::Received,
    Step::Leased,
    Step::Resolved,
    Step::Fetched,
    Step::Merged,
    Step::Closed,
    Step::Verified,
];

const FROM_THE_SWAP_ON: [Step; 4] = [
    Step::Swapped,
    Step::Recorded,
    Step::Acknowledged,
    Step::Released,
];

/// A base and two runs that wait.
fn waiting(world: &World) -> [Delta; 3] {
    let deltas = [
        Delta::of("lines", "base", 3),
        Delta::of("lines", "a", 2),
        Delta::of("lines", "b", 1),
    ];
    world.submit("run-base", &[&deltas[0]]);
    world.drain();
    world.submit("run-a", &[&deltas[1]]);
    world.submit("run-b", &[&deltas[2]]);
    deltas
}

fn stopped_at(world: &World, step: Step) -> compactor_daemon::Summary {
    let stop = CancellationToken::new();
    let hooks = Script::stop_at(step, &stop);
    world.run_until(&stop, hooks).unwrap()
}

fn assert_given_back(world: &World, step: Step) {
    assert_eq!(world.uploads("lines").len(), 1, "{step:?}");
    let depth = world.depth();
    assert_eq!(
        (depth.visible, depth.delayed, depth.in_flight, depth.dead),
        (2, 0, 0, 0),
        "{step:?}"
    );
    for run in ["run-a", "run-b"] {
        let state = world.state(run, "lines");
        assert!(
            matches!(state, RunState::Pending | RunState::Processing),
            "{run} is {state} at {step:?}"
        );
    }
    assert!(world.lease_is_free("lines"), "{step:?}");
}

fn assert_done(world: &World, deltas: &[Delta; 3], step: Step) {
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(deltas), "{step:?}");
    for run in ["run-a", "run-b"] {
        assert_eq!(world.state(run, "lines"), RunState::Completed, "{step:?}");
    }
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert!(world.lease_is_free("lines"), "{step:?}");
}

both!(before_the_swap_everything_is_given_back, in real time);
fn before_the_swap_everything_is_given_back(world: World) {
    let kind = world.kind;
    for step in BEFORE_THE_UPLOAD_ENDS {
        let world = World::new(kind);
        let deltas = waiting(&world);
        let pointer = world.pointer("lines");
        let summary = stopped_at(&world, step);
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (0, 0, 0),
            "{step:?}"
        );
        assert_eq!(world.pointer("lines"), pointer);
        assert_given_back(&world, step);
        assert_eq!(world.drain().completed, 2, "{step:?}");
        assert_done(&world, &deltas, step);
    }
}

both!(between_upload_and_swap_nothing_is_published_any_more, in real time);
fn between_upload_and_swap_nothing_is_published_any_more(world: World) {
    let deltas = waiting(&world);
    let pointer = world.pointer("lines");
    let summary = stopped_at(&world, Step::Uploaded);
    assert_eq!((summary.completed, summary.published), (0, 0));
    assert_eq!(world.pointer("lines"), pointer);
    assert_eq!(world.depth().visible, 2);
    world.drain();
    assert_done(&world, &deltas, Step::Uploaded);
}

both!(from_the_swap_on_everything_is_recorded_and_acknowledged, in real time);
fn from_the_swap_on_everything_is_recorded_and_acknowledged(world: World) {
    let kind = world.kind;
    for step in FROM_THE_SWAP_ON {
        let world = World::new(kind);
        let deltas = waiting(&world);
        let summary = stopped_at(&world, step);
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (2, 0, 1),
            "{step:?}"
        );
        assert_done(&world, &deltas, step);
    }
}

both!(runs_that_wait_for_a_worker_are_given_back_too, in real time);
fn runs_that_wait_for_a_worker_are_given_back_too(world: World) {
    let world = world.with(|settings| settings.workers = 1);
    let collections = ["lines", "words", "pages"];
    for collection in collections {
        world.submit(
            &format!("run-{collection}"),
            &[&Delta::of(collection, "a", 1)],
        );
    }
    stopped_at(&world, Step::Fetched);
    let depth = world.depth();
    assert_eq!((depth.visible, depth.delayed, depth.in_flight), (3, 0, 0));
    assert_eq!(world.drain().completed, 3);
    for collection in collections {
        assert_eq!(world.content(collection).len(), 1);
    }
}

both!(a_daemon_that_waits_stops_at_once, in real time);
fn a_daemon_that_waits_stops_at_once(world: World) {
    let stop = CancellationToken::new();
    stop.cancel();
    let summary = world.run_until(&stop, Script::watch()).unwrap();
    assert_eq!(summary, compactor_daemon::Summary::default());
}

#[test]
fn what_is_received_while_stopping_is_given_back() {
    let world = World::new(crate::world::Kind::Fakes);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    let crate::world::Backend::Fakes { queue, .. } = &world.backend else {
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
