//! A collection that another worker holds for long, or in which something is wrong, with more runs than
//! we may hold.

use compactor_core::ports::Acquired;
use compactor_core::{RunState, keys};
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{World, lineage};

both!(runs_of_locked_collection_leave_room_for_other_collections, in real time);
fn runs_of_locked_collection_leave_room_for_other_collections(world: World) {
    let world = world.with(|settings| settings.in_flight = 4);
    let (lines, owner) = (lineage("lines"), world.ports.ids.uuid());
    let term = world.settings.lease.term();
    let locked = world.ports.leases.acquire(&lines, owner, term);
    assert_eq!(world.wait(locked).unwrap(), Acquired::Held);
    let runs = ["run-0", "run-1", "run-2", "run-3", "run-4", "run-5"];
    let deltas = runs.map(|run| Delta::of("lines", run, 1));
    for (run, delta) in runs.into_iter().zip(&deltas) {
        world.submit(run, &[delta]);
    }
    let words = Delta::of("words", "w", 2);
    world.submit("run-words", &[&words]);

    let stop = CancellationToken::new();
    let hooks = Script::stop_at(Step::Acknowledged, &stop);
    assert_eq!(world.run_until(&stop, hooks).unwrap().completed, 1);
    assert_eq!(world.state("run-words", "words"), RunState::Completed);
    assert!(
        !world.lease_is_free("lines"),
        "it did not wait for the lock"
    );

    // Longer than any run was given back for.
    world.advance(std::time::Duration::from_secs(15 * 60));
    assert_eq!(world.drain().completed, 6);
    assert_eq!(world.depth().dead, 0, "none was buried");
    assert_eq!(world.content("lines"), content_of(&deltas));
}

both!(runs_of_paused_collection_leave_room_for_other_collections, in real time);
fn runs_of_paused_collection_leave_room_for_other_collections(world: World) {
    let world = world.with(|settings| settings.in_flight = 4);
    let pointer = keys::pointer(&lineage("lines"));
    world.put(&pointer, "no version");
    world.expects(&["CC-POINTER"]);
    for run in ["run-0", "run-1", "run-2", "run-3", "run-4", "run-5"] {
        world.submit(run, &[&Delta::of("lines", run, 1)]);
    }
    let words = Delta::of("words", "w", 2);
    world.submit("run-words", &[&words]);

    let stop = CancellationToken::new();
    let hooks = Script::stop_at(Step::Acknowledged, &stop);
    assert_eq!(world.run_until(&stop, hooks).unwrap().completed, 1);
    assert_eq!(world.state("run-words", "words"), RunState::Completed);
    assert_eq!(world.depth().dead, 0, "none was buried");
}
