//! A batch in which no run is good publishes nothing and touches nothing.

use compactor_core::RunState;

use crate::deltas::Delta;
use crate::sabotage;
use crate::world::World;

both!(batch_of_bad_runs_publishes_nothing_and_leaves_base_untouched);
fn batch_of_bad_runs_publishes_nothing_and_leaves_base_untouched(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "base", 3)]);
    world.drain();
    let before = world.image("lines/snapshot/");
    for bad in &sabotage::ALL {
        bad.submit(&world);
    }
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (0, 0));
    assert_eq!(world.image("lines/snapshot/"), before);
    assert_eq!(world.depth().dead, sabotage::ALL.len() as u64);
    assert!(world.lease_is_free("lines"));
}

both!(batch_of_bad_runs_makes_no_first_snapshot);
fn batch_of_bad_runs_makes_no_first_snapshot(world: World) {
    // Without a snapshot a dimension or a space is not wrong yet.
    let relative = ["wrong-dimension", "wrong-space"];
    let absolute = sabotage::ALL
        .iter()
        .filter(|bad| !relative.contains(&bad.name));
    for bad in absolute.clone() {
        bad.submit(&world);
    }
    assert_eq!(world.drain().published, 0);
    assert_eq!(world.keys("lines/snapshot/"), Vec::<String>::new());
    for bad in absolute {
        assert_eq!(world.state(bad.name, "lines"), RunState::Failed);
        assert_eq!(world.code(bad.name, "lines"), bad.code);
    }
}
