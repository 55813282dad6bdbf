//! Another writer publishes a snapshot from which most of our records are gone.

use compactor_core::{RunState, Version};

use crate::deltas::{Delta, content_of};
use crate::legacy::{self, Form};
use crate::world::{World, lineage};

const THEIRS: &str = "20991121_000212_517191_74bfc63c";

/// Our version has ten records. Then another writer publishes `records` of its own, and a run is
/// submitted.
fn overwritten_with(world: &World, records: usize) -> [Delta; 3] {
    let ours = Delta::of("lines", "ours", 10);
    world.submit("run-ours", &[&ours]);
    world.drain();
    let theirs = Delta::of("lines", "theirs", records);
    let store = theirs.write(world, &world.folder("theirs"));
    legacy::publish(world, &store, Form::Archive, THEIRS);
    let next = Delta::of("lines", "next", 2);
    world.submit("run-next", &[&next]);
    world.expects(&["CC-SHRUNK", "CC-OVERWRITTEN"]);
    [ours, theirs, next]
}

fn accept(world: &World) -> Version {
    let runs = world.ports.runs.as_ref();
    let (repository, lines) = (world.repository(), lineage("lines"));
    world.wait(repository.accept(&lines, runs)).unwrap()
}

fn refused(world: &World) {
    let before = world.image("lines/snapshot/");
    let error = world.try_drain().unwrap_err();
    assert_eq!(error.code(), "CC-SHRUNK");
    let text = error.to_string();
    assert!(text.contains(THEIRS) && text.contains("has 10"), "{text}");
    assert_eq!(world.image("lines/snapshot/"), before);
    assert_eq!(world.state("run-next", "lines"), RunState::Pending);
    assert_eq!(world.state("run-ours", "lines"), RunState::Completed);
    assert_eq!(world.depth().dead, 0);
}

both!(shrunk_snapshot_is_built_upon_only_after_accept, in real time);
fn shrunk_snapshot_is_built_upon_only_after_accept(world: World) {
    let [_, theirs, next] = overwritten_with(&world, 4);
    refused(&world);
    let accepted = accept(&world);
    assert_eq!(accepted.as_str(), THEIRS);
    world.drain();
    assert_eq!(world.content("lines"), content_of([&theirs, &next]));
    assert_eq!(world.state("run-next", "lines"), RunState::Completed);
    // A version of ours needs no acceptance.
    let pointer = world.pointer("lines");
    accept(&world);
    assert_eq!(world.pointer("lines"), pointer);
}

both!(shrunk_snapshot_is_replaced_with_ours_by_point, in real time);
fn shrunk_snapshot_is_replaced_with_ours_by_point(world: World) {
    let [ours, _, next] = overwritten_with(&world, 1);
    refused(&world);
    let uploads = world.uploads("lines");
    let own = uploads.iter().find(|version| *version != THEIRS).unwrap();
    let (own, theirs) = (own.parse().unwrap(), THEIRS.parse().unwrap());
    let (ports, lines) = (&world.ports, lineage("lines"));
    let repository = world.repository();
    let pointing = repository.point(&lines, &own, None, ports.ids.uuid());
    let error = world.wait(pointing).unwrap_err();
    assert_eq!(error.code(), "CC-POINTER-IN-USE");
    world
        .wait(repository.point(&lines, &own, Some(&theirs), ports.ids.uuid()))
        .unwrap();
    world.drain();
    assert_eq!(world.content("lines"), content_of([&ours, &next]));
}

both!(snapshot_that_shrank_within_limit_is_built_upon);
fn snapshot_that_shrank_within_limit_is_built_upon(world: World) {
    let [_, theirs, next] = overwritten_with(&world, 5);
    world.drain();
    assert_eq!(world.content("lines"), content_of([&theirs, &next]));
    assert_eq!(world.state("run-next", "lines"), RunState::Completed);
}
