//! Invariant I4: whatever state is left behind, one healthy worker finishes the work, without a human.

use super::promises::completed_is_published;
use super::protocol::Protocol;
use super::publish::{Fate, Sight};
use super::vanish::{self, Vanish};
use super::worker::{Pace, Step, Task, Turn, Worker};
use super::world::World;

/// More steps than an undisturbed cycle has.
const LONGEST: usize = 20;

/// Whether a lone worker publishes every run from this state. Checked only where no worker is at work,
/// since a crash of all workers leads there from every state. Puts that are under way never arrive.
pub(crate) fn lone_worker_finishes(protocol: &Protocol, world: &World) -> bool {
    if world.workers.iter().any(|worker| *worker != Worker::Idle) {
        return true;
    }
    let mut world = world.clone();
    world.wire.clear();
    if world.vanish == Vanish::Gone {
        // Only this step needs a human.
        vanish::put_back(protocol, &mut world);
    }
    if !world.messages.is_empty() {
        cycle(protocol, &mut world);
    }
    let is_done = world.messages.is_empty() && world.completed().count() == protocol.runs;
    is_done && (protocol.legacy || completed_is_published(protocol, &world))
}

/// One cycle of the first worker with everything that waits, without a fault.
fn cycle(protocol: &Protocol, world: &mut World) {
    let mut next = Some(Step::Begin(Task::Merge(world.messages)));
    let mut turn = Turn {
        protocol,
        world,
        worker: 0,
    };
    for _ in 0..LONGEST {
        let Some(step) = next else { return };
        turn.take(step);
        next = undisturbed(turn.world.workers[0]);
    }
}

/// What comes next where nothing fails.
fn undisturbed(worker: Worker) -> Option<Step> {
    match worker {
        Worker::Idle => None,
        Worker::Locked(_) => Some(Step::TakeFence),
        Worker::Leased(_) => Some(Step::Resolve),
        Worker::Uploading(..) => Some(Step::Complete(Pace::Prompt)),
        Worker::Swapping(..) => Some(Step::Put(Fate::Answered)),
        Worker::ReadingBack(..) => Some(Step::ReadBack(Sight::Everything)),
        Worker::Published(..) => Some(Step::Record),
        Worker::Recorded(..) => Some(Step::Acknowledge),
    }
}
