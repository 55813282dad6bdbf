//! Promises that must hold in every state, and events that must happen in some: without them a promise
//! could hold for lack of a test.

use compactor_core::Manifest;
use stateright::Property;

use super::protocol::Protocol;
use super::publish::Evidence;
use super::recovery::lone_worker_finishes;
use super::snapshots::{COLLECTION, Objects, run_id};
use super::vanish::Vanish;
use super::worker::{Found, Worker};
use super::world::World;

/// Invariant I1, which includes that nothing deletes the published version.
pub(crate) const WHOLE: &str = "the pointer names a version that is all there";
/// Invariant I2.
pub(crate) const ACKNOWLEDGED: &str = "what is acknowledged is recorded as completed";
/// Invariant I2.
pub(crate) const COMPLETED: &str = "what is completed is in the published lineage";
/// Invariant I3.
pub(crate) const GROWS: &str = "the pointer's version only grows";
/// Invariant I4.
pub(crate) const CONTINUES: &str = "a lone worker finishes what is left";
/// Invariant I6.
pub(crate) const SUPERSEDED: &str = "only versions older than the published one are deleted";
/// Invariant I9.
pub(crate) const RECORDED: &str = "a record names a version that contains its run";
/// No invariant of its own: a merge again changes no content, but costs a cycle.
pub(crate) const ONCE: &str = "no run is merged twice into a lineage";
/// A version's fence is greater than its parent's.
pub(crate) const FENCES: &str = "fences grow along the lineage";
/// The part of I2 that holds beside a writer without conditions.
pub(crate) const FINDABLE: &str = "what was overwritten is still there to be found";

type Promise = Property<Protocol>;

/// The promises that the protocol makes, and the events that its bounds must have room for.
pub(crate) fn of(protocol: &Protocol) -> Vec<Promise> {
    let mut promises = vec![
        Promise::always(WHOLE, pointer_is_whole),
        Promise::always(ACKNOWLEDGED, acknowledged_is_completed),
        Promise::always(CONTINUES, lone_worker_finishes),
    ];
    if protocol.legacy {
        promises.push(Promise::always(FINDABLE, overwritten_is_findable));
    } else {
        promises.push(Promise::always(COMPLETED, completed_is_published));
        promises.push(Promise::always(GROWS, pointer_only_grew));
    }
    // An operator restores the pointer without a lease.
    if !protocol.legacy && !protocol.vanishes {
        promises.push(Promise::always(FENCES, fences_grow));
    }
    // A rollback takes runs out of the lineage, and they may be merged once more.
    if !protocol.legacy && protocol.rollbacks == 0 {
        promises.push(Promise::always(RECORDED, records_are_true));
        promises.push(Promise::always(ONCE, merged_once));
    }
    if protocol.retention {
        promises.push(Promise::always(SUPERSEDED, deleted_is_superseded));
    }
    promises.extend(events(protocol));
    promises
}

fn events(protocol: &Protocol) -> Vec<Promise> {
    let mut events = vec![
        Promise::sometimes("everything is acknowledged", |_, world| {
            world.messages.is_empty()
        }),
        Promise::sometimes("a read-back shows that the put was applied", |_, world| {
            is_known_by(world, Evidence::ReadBack)
        }),
        Promise::sometimes("another version contains the runs", |_, world| {
            is_known_by(world, Evidence::Superseded)
        }),
        Promise::sometimes("a delivery is found in the lineage", |_, world| {
            is_known_by(world, Evidence::Lineage)
        }),
    ];
    // With one run, the loser of a race finds that the winner published it.
    if protocol.runs > 1 {
        events.push(Promise::sometimes("a cycle starts again", |_, world| {
            is_rebased(world)
        }));
    }
    if protocol.retention {
        events.push(Promise::sometimes("a version is deleted", |_, world| {
            has_deleted(world)
        }));
    }
    if protocol.rollbacks > 0 {
        events.push(Promise::sometimes("a run is withdrawn", |_, world| {
            !world.withdrawn.is_empty()
        }));
    }
    if protocol.vanishes {
        events.push(Promise::sometimes(
            "a put-back pointer names completed runs",
            |_, world| world.vanish == Vanish::Done && world.completed().next().is_some(),
        ));
    }
    if protocol.legacy {
        let is_lost = |_: &Protocol, world: &World| lost(world).next().is_some();
        events.push(Promise::sometimes(
            "a completed run is overwritten",
            is_lost,
        ));
    }
    events
}

fn pointer_is_whole(_: &Protocol, world: &World) -> bool {
    world.published().is_none_or(|published| {
        let content = &published.content;
        let is_valid =
            |manifest: &Manifest| manifest.validate(&COLLECTION, &content.version).is_ok();
        published.objects == Objects::All && content.manifest.as_ref().is_none_or(is_valid)
    })
}

fn acknowledged_is_completed(_: &Protocol, world: &World) -> bool {
    let mut runs = 0..world.records.len();
    runs.all(|run| world.messages.contains(run) || world.records[run].is_completed())
}

/// Runs that are COMPLETED and not in the published lineage.
fn lost(world: &World) -> impl Iterator<Item = usize> {
    let lineage = world.lineage();
    let is_in = move |run: usize| lineage.is_some_and(|known| known.contains_run(run_id(run)));
    world.completed().filter(move |run| !is_in(*run))
}

/// Runs that a rollback removed on purpose do not count. Without a pointer no version is published.
pub(crate) fn completed_is_published(_: &Protocol, world: &World) -> bool {
    let is_gone = world.vanish == Vanish::Gone && world.pointer.is_none();
    is_gone || lost(world).all(|run| world.withdrawn.contains(run))
}

fn pointer_only_grew(_: &Protocol, world: &World) -> bool {
    !world.went_back
}

fn fences_grow(_: &Protocol, world: &World) -> bool {
    let manifests = world
        .ancestry()
        .filter_map(|at| world.versions[at].content.manifest.as_ref());
    let fences: Vec<_> = manifests.map(|manifest| manifest.fence).collect();
    fences.windows(2).all(|pair| pair[0] > pair[1])
}

fn records_are_true(_: &Protocol, world: &World) -> bool {
    world.completed().all(|run| {
        recorded_in(world, run).is_some_and(|manifest| manifest.contains_run(run_id(run)))
    })
}

/// The manifest of the version that a run's record names.
fn recorded_in(world: &World, run: usize) -> Option<&Manifest> {
    let version = world.records[run].0.version.as_ref()?;
    let content = &world.versions[world.place(version)].content;
    content.manifest.as_ref()
}

fn merged_once(_: &Protocol, world: &World) -> bool {
    let manifests = world
        .ancestry()
        .filter_map(|at| world.versions[at].content.manifest.as_ref());
    let mut merged: Vec<_> = manifests
        .flat_map(|manifest| &manifest.runs)
        .map(|run| &run.run_id)
        .collect();
    let all = merged.len();
    merged.sort();
    merged.dedup();
    merged.len() == all
}

fn deleted_is_superseded(_: &Protocol, world: &World) -> bool {
    let pointer = world
        .published()
        .map(|published| &published.content.version);
    world
        .versions
        .iter()
        .filter(|snapshot| is_deleted(snapshot.objects))
        .all(|snapshot| pointer.is_some_and(|pointer| snapshot.content.version < *pointer))
}

fn is_deleted(objects: Objects) -> bool {
    matches!(objects, Objects::Manifest | Objects::None)
}

/// The version that the record names is complete and contains the run, and it is no ancestor of the
/// published version. A comparison of the two shows the lost update.
fn overwritten_is_findable(_: &Protocol, world: &World) -> bool {
    lost(world).all(|run| {
        let Some(manifest) = recorded_in(world, run) else {
            return false;
        };
        let at = world.place(&manifest.version);
        manifest.contains_run(run_id(run))
            && world.versions[at].objects == Objects::All
            && world.ancestry().all(|ancestor| ancestor != at)
    })
}

fn is_known_by(world: &World, evidence: Evidence) -> bool {
    let is_it = |found: &Found| found.evidence == evidence;
    world
        .workers
        .iter()
        .any(|worker| matches!(worker, Worker::Published(_, found) if is_it(found)))
}

fn is_rebased(world: &World) -> bool {
    world
        .workers
        .iter()
        .any(|worker| matches!(worker, Worker::Leased(cycle) if cycle.rebases > 0))
}

fn has_deleted(world: &World) -> bool {
    let mut objects = world.versions.iter().map(|snapshot| snapshot.objects);
    objects.any(|objects| objects == Objects::None)
}
