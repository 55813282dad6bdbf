//! An operator deletes the pointer, and another one restores it.

use compactor_core::RunId;
use compactor_core::lost_pointer::{Complete, is_lost, to_put_back};

use super::protocol::{Mistake, Protocol};
use super::snapshots::{Objects, run_id};
use super::worker::Worker;
use super::world::World;

/// The progress of the two operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Vanish {
    /// It may happen.
    Due,
    /// There is no pointer.
    Gone,
    /// It does not happen any more.
    Done,
}

/// Whether an operator may take the next step. An operator takes longer than a worker that only has to
/// record what it has published.
pub(crate) fn may_go_on(world: &World) -> bool {
    let is_recording = |worker: &Worker| matches!(worker, Worker::Published(..));
    match world.vanish {
        Vanish::Due => world.pointer.is_some(),
        Vanish::Gone => !world.workers.iter().any(is_recording),
        Vanish::Done => false,
    }
}

/// Takes the next step.
pub(crate) fn take(protocol: &Protocol, world: &mut World) {
    world.vanish = match world.vanish {
        Vanish::Due => {
            world.pointer = None;
            Vanish::Gone
        }
        Vanish::Gone => {
            put_back(protocol, world);
            Vanish::Done
        }
        Vanish::Done => Vanish::Done,
    };
}

/// Writes the pointer that the daemon advises, if there is still none.
pub(crate) fn put_back(protocol: &Protocol, world: &mut World) {
    let found = complete(world);
    let version = match protocol.has(Mistake::PutBackNewest) {
        true => found.iter().map(|one| &one.version).max(),
        false => to_put_back(&found),
    };
    if let Some(version) = version.filter(|_| world.pointer.is_none()) {
        world.pointer = Some(world.place(version));
    }
}

/// Whether a worker that finds no pointer refuses to start a new lineage.
pub(crate) fn is_refused(world: &World) -> bool {
    is_lost(&complete(world), &completed(world))
}

fn completed(world: &World) -> Vec<RunId> {
    world.completed().map(|run| run_id(run).clone()).collect()
}

fn complete(world: &World) -> Vec<Complete> {
    let completed = completed(world);
    let all = world.versions.iter();
    let all = all.filter(|snapshot| snapshot.objects == Objects::All);
    all.map(|snapshot| {
        let content = &snapshot.content;
        Complete::new(
            content.version.clone(),
            content.manifest.as_ref(),
            &completed,
        )
    })
    .collect()
}
