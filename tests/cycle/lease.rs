//! The lease of a collection: while another worker holds it no work is done, and a daemon that lost it
//! publishes nothing.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::RunState;
use compactor_core::ports::Acquired;
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deltas::{Delta, content_of};
use crate::hooks::{Fate, Script};
use crate::process::elsewhere;
use crate::world::{MAX_RECEIVES, World, lineage};

/// Another worker takes the lease, or takes it again.
fn taken_by_another(world: &World, owner: Uuid) -> bool {
    let term = world.settings.lease.term();
    let lines = lineage("lines");
    let asked = world.ports.leases.acquire(&lines, owner, term);
    world.wait(asked).unwrap() == Acquired::Held
}

both!(collection_leased_by_another_worker_is_left_alone, in real time);
fn collection_leased_by_another_worker_is_left_alone(world: World) {
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    assert!(taken_by_another(&world, world.ports.ids.uuid()));
    let stop = CancellationToken::new();
    let diary = Script::stop_at(Step::Received, &stop);
    let summary = world.run_until(&stop, diary.clone()).unwrap();
    assert_eq!(summary, compactor_daemon::Summary::default());
    assert_eq!(diary.count(Step::Leased), 0);
    let depth = world.depth();
    assert_eq!(
        (depth.visible, depth.delayed, depth.in_flight, depth.dead),
        (1, 0, 0, 0)
    );
    assert_eq!(world.keys("lines/snapshot/"), Vec::<String>::new());
    assert_eq!(world.state("run-a", "lines"), RunState::Pending);

    world.let_everything_expire();
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), delta.content());
}

both!(lease_of_one_collection_does_not_delay_another, in real time);
fn lease_of_one_collection_does_not_delay_another(world: World) {
    let delta = Delta::of("words", "w", 2);
    world.submit("run-w", &[&delta]);
    assert!(taken_by_another(&world, world.ports.ids.uuid()));
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("words"), delta.content());
    assert!(!world.lease_is_free("lines"));
}

/// On a clock that every wait moves, the daemon itself gets to the end of the lease.
#[test]
fn daemon_waits_until_lease_is_free() {
    let world = Arc::new(World::new(crate::world::Kind::Fakes));
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    assert!(taken_by_another(&world, world.ports.ids.uuid()));
    let until = world.ports.clock.wall().plus(world.settings.lease.term());
    let clock = Arc::clone(&world.ports.clock);
    let hooks = Script::at(Step::Leased, move || assert!(clock.wall() > until));
    assert_eq!(world.drain_with(hooks.clone()).unwrap().completed, 1);
    assert!(hooks.count(Step::Received) > 1);
}

/// A healthy holder that keeps its lease for long is no reason to give a run up.
#[test]
fn lease_that_stays_busy_buries_no_run() {
    let world = Arc::new(World::new(crate::world::Kind::Fakes));
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let (owner, other) = (world.ports.ids.uuid(), Arc::clone(&world));
    assert!(taken_by_another(&world, owner));
    // Renewed each time our daemon comes to ask, more often than a message may be received.
    let hooks = Script::new(move |step, before| {
        if step == Step::Received && before < MAX_RECEIVES as usize + 2 {
            assert!(elsewhere(|| taken_by_another(&other, owner)));
        }
        Fate::GoesOn
    });
    world.drain_with(hooks).unwrap();
    assert_eq!(world.depth().dead, 0, "{:?}", world.dead_letters());
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert_eq!(world.content("lines"), delta.content());
}

both!(daemon_that_lost_lease_publishes_nothing, in real time);
fn daemon_that_lost_lease_publishes_nothing(world: World) {
    world.expects(&["CC-LEASE-LOST"]);
    let (base, delta) = (Delta::of("lines", "base", 3), Delta::of("lines", "a", 2));
    world.submit("run-base", &[&base]);
    world.drain();
    world.submit("run-a", &[&delta]);
    let world = Arc::new(world);
    let pointer = world.pointer("lines");
    let stop = CancellationToken::new();
    let hooks = {
        let (world, stop) = (Arc::clone(&world), stop.clone());
        Script::new(move |step, _| {
            match step {
                // A pause longer than the lease, in which another worker takes it.
                Step::Uploaded => elsewhere(|| {
                    world.advance(world.settings.lease.term() + Duration::from_secs(1));
                    assert!(taken_by_another(&world, world.ports.ids.uuid()));
                }),
                Step::Released => stop.cancel(),
                _ => {}
            }
            Fate::GoesOn
        })
    };
    let summary = world.run_until(&stop, hooks).unwrap();
    assert_eq!((summary.completed, summary.published), (0, 0));
    assert_eq!(world.pointer("lines"), pointer);
    // Only its holder frees a lease.
    assert!(!world.lease_is_free("lines"));
    assert_eq!(world.depth().dead, 0);

    world.let_everything_expire();
    world.drain();
    assert_eq!(world.content("lines"), content_of([&base, &delta]));
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
}

both!(lease_that_no_worker_took_after_expiry_is_not_lost, in real time);
fn lease_that_no_worker_took_after_expiry_is_not_lost(world: World) {
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let world = Arc::new(world);
    let hooks = {
        let world = Arc::clone(&world);
        Script::at(Step::Uploaded, move || {
            world.advance(world.settings.lease.term() + Duration::from_secs(1));
        })
    };
    world.drain_with(hooks).unwrap();
    assert_eq!(world.content("lines"), delta.content());
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert!(world.queue_is_empty());
}

both!(fences_only_grow, in real time);
fn fences_only_grow(world: World) {
    let mut fences = Vec::new();
    for run in ["run-0", "run-1", "run-2"] {
        world.submit(run, &[&Delta::of("lines", run, 1)]);
        world.drain();
        fences.push(world.snapshot("lines").unwrap().manifest.fence);
    }
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
}

#[test]
fn lease_is_given_back_if_fence_is_denied() {
    let world = World::new(crate::world::Kind::Fakes);
    world.expects(&["CC-PORT-DENIED"]);
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    let crate::world::Backend::Fakes { leases, .. } = &world.backend else {
        panic!("fakes");
    };
    leases.faults.when(|call| {
        let denied =
            compactor_core::fakes::Inject::FailBefore(compactor_core::ports::Fault::Denied);
        (call.operation == "next_fence").then_some(denied)
    });
    assert!(world.drain_with(Script::watch()).is_err());
    leases.faults.clear();
    assert!(world.lease_is_free("lines"));
}
