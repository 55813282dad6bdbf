//! The clean-up, as harsh as it can be set: it keeps one version and no age.

use std::time::Duration;

use compactor_core::Version;
use compactor_core::ports::WallTime;
use compactor_core::retention::{Publication, RetentionPolicy, superseded};

use super::protocol::{Mistake, Protocol};
use super::snapshots::Objects;
use super::world::World;

const HARSHEST: RetentionPolicy = RetentionPolicy {
    versions: 1,
    age: Duration::ZERO,
};

/// How far it is. The versions to delete are those left, oldest first, and never none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sweep {
    /// It has not begun.
    Idle,
    /// It listed versions and decided.
    Planned(Vec<usize>),
    /// It read the pointer again, and the first one may go.
    Looked(Vec<usize>),
}

/// What it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clean {
    /// Reads the pointer, lists the versions, and decides.
    Plan,
    /// Reads the pointer again.
    Look,
    /// Deletes the files, or then the manifest, of the first one.
    Delete,
    /// Is killed.
    Stop,
}

impl Sweep {
    /// Its possible steps.
    pub(crate) fn steps(&self, world: &World) -> impl Iterator<Item = Clean> {
        let (next, stop) = match self {
            Self::Idle if world.pointer.is_some() => (Some(Clean::Plan), None),
            Self::Idle => (None, None),
            Self::Planned(_) => (Some(Clean::Look), Some(Clean::Stop)),
            Self::Looked(_) => (Some(Clean::Delete), Some(Clean::Stop)),
        };
        next.into_iter().chain(stop)
    }

    fn planned(doomed: Vec<usize>) -> Self {
        match doomed.is_empty() {
            true => Self::Idle,
            false => Self::Planned(doomed),
        }
    }
}

/// Takes a step.
pub(crate) fn take(protocol: &Protocol, world: &mut World, step: Clean) {
    let sweep = std::mem::replace(&mut world.sweep, Sweep::Idle);
    world.sweep = match (sweep, step) {
        (Sweep::Idle, Clean::Plan) => Sweep::planned(plan(protocol, world)),
        (Sweep::Planned(doomed), Clean::Look) if may_go(protocol, world, doomed[0]) => {
            Sweep::Looked(doomed)
        }
        (Sweep::Looked(doomed), Clean::Delete) => delete(world, doomed),
        // Stopped, or the pointer is not past the version any more.
        _ => Sweep::Idle,
    };
}

fn plan(protocol: &Protocol, world: &World) -> Vec<usize> {
    let Some(published) = world.published() else {
        return Vec::new();
    };
    let pointer = &published.content.version;
    let listed = world
        .versions
        .iter()
        .filter(|snapshot| snapshot.objects != Objects::None);
    let mut versions: Vec<Version> = listed
        .map(|snapshot| snapshot.content.version.clone())
        .collect();
    if protocol.has(Mistake::CollectUnreferenced) {
        versions.retain(|version| version != pointer);
    } else {
        let published = [Publication {
            version: pointer.clone(),
            by: Some(WallTime(0)),
        }];
        versions = superseded(&versions, &published, HARSHEST, WallTime(i64::MAX));
    }
    versions
        .iter()
        .map(|version| world.place(version))
        .collect()
}

/// As the daemon looks again before it deletes a version.
fn may_go(protocol: &Protocol, world: &World, doomed: usize) -> bool {
    let doomed = &world.versions[doomed].content.version;
    let is_past = world
        .published()
        .is_some_and(|published| published.content.version > *doomed);
    is_past || protocol.has(Mistake::CollectUnreferenced)
}

fn delete(world: &mut World, mut doomed: Vec<usize>) -> Sweep {
    let objects = &mut world.versions[doomed[0]].objects;
    if *objects == Objects::All {
        *objects = Objects::Manifest;
        return Sweep::Looked(doomed);
    }
    *objects = Objects::None;
    doomed.remove(0);
    Sweep::planned(doomed)
}
