//! A writer that knows neither conditions nor manifests: it reads the pointer, works for a while, and
//! then puts the pointer unconditionally. What it merges does not matter here.

use compactor_core::Version;
use compactor_core::ports::Condition;

use super::protocol::Clock;
use super::snapshots::{Content, Objects, Snapshot, random};
use super::world::World;

/// The progress of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Legacy {
    /// It will publish once.
    Due,
    /// It has read the pointer, and makes this version.
    Writing(usize),
    /// It does nothing more.
    Done,
}

/// Takes the writer's next step.
pub(crate) fn take(world: &mut World) {
    world.legacy = match world.legacy {
        Legacy::Due => Legacy::Writing(begin(world)),
        Legacy::Writing(upload) => {
            world.versions[upload].objects = Objects::All;
            world.put_pointer(upload, &Condition::Always);
            Legacy::Done
        }
        Legacy::Done => Legacy::Done,
    };
}

/// The manifest of the base is among the copied files.
fn begin(world: &mut World) -> usize {
    let upload = world.versions.len();
    let content = Content {
        version: Version::mint(Clock::Right.wall(upload), random(upload), None),
        made_from: world.pointer,
        manifest: None,
        ancestor: world.lineage().cloned(),
    };
    world.versions.push(Snapshot::begun(content));
    upload
}
