//! What a daemon tells of itself while it works.

use std::sync::{Arc, Mutex};

use compactor_daemon::{Mode, PhaseStatus, Status};
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::Delta;
use crate::hooks::Script;
use crate::world::{World, name};

both!(status_shows_a_running_cycle_and_then_how_it_ended);
fn status_shows_a_running_cycle_and_then_how_it_ended(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 2)]);
    let daemon = world.daemon(CancellationToken::new());
    let status = daemon.status();
    assert_eq!(*status.borrow(), Status::default());
    let during = Arc::new(Mutex::new(None));
    let observer = {
        let (status, during) = (status.clone(), Arc::clone(&during));
        Script::at(Step::Merged, move || {
            *during.lock().unwrap() = Some(status.borrow().clone());
        })
    };
    let summary = world.finish(daemon.with_observer(observer).run(Mode::Drain));
    let lines = name("lines");
    let during = during.lock().unwrap().take().unwrap();
    assert!(during.is_busy());
    assert_eq!(during.collections[&lines].phase, PhaseStatus::Running);
    assert_eq!(during.collections[&lines].last_cycle, None);
    let after = status.borrow().clone();
    assert!(!after.is_busy());
    assert_eq!(after.summary, summary.unwrap());
    let lines = &after.collections[&lines];
    assert_eq!((lines.phase, lines.waiting), (PhaseStatus::Idle, 0));
    let last = lines.last_cycle.unwrap();
    assert_eq!((last.completed, last.failed, last.published), (1, 0, true));
}
