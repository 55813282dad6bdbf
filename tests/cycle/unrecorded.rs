//! A record that cannot be written: the run is published, and its message stays until the record
//! says so.

use std::sync::atomic::{AtomicU32, Ordering};

use compactor_core::RunState;
use compactor_core::fakes::Inject;
use compactor_core::ports::Fault;

use crate::deltas::Delta;
use crate::world::{Backend, Kind, World};

#[test]
fn what_is_not_recorded_is_not_acknowledged() {
    let world = World::new(Kind::Fakes);
    world.expects(&["cannot record a completed run"]);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let Backend::Fakes { runs, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    // All attempts of the first delivery.
    let (failures, attempts) = (AtomicU32::new(0), world.settings.attempts);
    runs.faults.when(move |call| {
        let fails =
            call.operation == "complete" && failures.fetch_add(1, Ordering::SeqCst) < attempts;
        fails.then_some(Inject::FailBefore(Fault::Transient))
    });
    let summary = world.drain();
    assert_eq!((summary.published, summary.completed), (1, 1));
    let part = world.part("run-a", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    assert_eq!(world.content("lines"), delta.content());
    assert!(world.queue_is_empty());
}
