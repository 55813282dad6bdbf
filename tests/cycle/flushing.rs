//! What is published first and flushed afterwards.

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::world::World;

/// Vectors go into the index files at this many.
const THRESHOLD: usize = 1000;

/// The files of the published version.
fn files(world: &World) -> usize {
    world.snapshot("lines").unwrap().manifest.files.len()
}

const ONLY_THE_DATABASE: usize = 1;
const WITH_INDEX_FILES: usize = 6;

both!(runs_are_published_before_their_vectors_are_flushed);
fn runs_are_published_before_their_vectors_are_flushed(world: World) {
    let world = world.with(|settings| settings.flush_backlog = 5_000);
    let delta = Delta::of("lines", "a", THRESHOLD);
    world.submit("run-a", &[&delta]);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (1, 2));
    let snapshot = world.snapshot("lines").unwrap();
    let expected = in_thousandths(delta.content());
    assert!(in_thousandths(snapshot.content.clone()) == expected);
    assert_eq!(files(&world), WITH_INDEX_FILES);
    assert_eq!(snapshot.lineage(), ["run-a"]);
    assert!(snapshot.manifest.runs.is_empty(), "nothing was merged");
    // The record names the version that the run came with.
    let parent = snapshot.manifest.parent.unwrap().version;
    assert_eq!(world.part("run-a", "lines").version, Some(parent));

    // What the flush left behind is what the next cycle starts from.
    let next = Delta::of("lines", "b", 2);
    world.submit("run-b", &[&next]);
    assert_eq!(world.drain().published, 1);
    let expected = in_thousandths(content_of([&delta, &next]));
    assert!(in_thousandths(world.content("lines")) == expected);
}

both!(waiting_runs_are_published_before_flush);
fn waiting_runs_are_published_before_flush(world: World) {
    let world = world.with(|settings| {
        settings.flush_backlog = 5_000;
        settings.batch_runs = 1;
    });
    let deltas = ["a", "b", "c"].map(|prefix| Delta::of("lines", prefix, THRESHOLD));
    for (run, delta) in ["run-a", "run-b", "run-c"].into_iter().zip(&deltas) {
        world.submit(run, &[delta]);
    }
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (3, 4));
    let runs: Vec<usize> = world
        .manifests("lines")
        .iter()
        .map(|manifest| manifest.runs.len())
        .collect();
    assert_eq!(runs, [1, 1, 1, 0], "the flush is last");
    assert_eq!(files(&world), WITH_INDEX_FILES);
    let expected = in_thousandths(content_of(&deltas));
    assert!(in_thousandths(world.content("lines")) == expected);
}

both!(backlog_over_limit_is_flushed_at_once);
fn backlog_over_limit_is_flushed_at_once(world: World) {
    let world = world.with(|settings| {
        settings.flush_backlog = 1_500;
        settings.batch_runs = 1;
    });
    let deltas = ["a", "b"].map(|prefix| Delta::of("lines", prefix, THRESHOLD));
    for (run, delta) in ["run-a", "run-b"].into_iter().zip(&deltas) {
        world.submit(run, &[delta]);
    }
    assert_eq!(world.drain().published, 2);
    assert_eq!(files(&world), WITH_INDEX_FILES);
}

both!(log_below_threshold_is_not_flushed);
fn log_below_threshold_is_not_flushed(world: World) {
    let world = world.with(|settings| settings.flush_backlog = 5_000);
    world.submit("run-a", &[&Delta::of("lines", "a", THRESHOLD - 1)]);
    assert_eq!(world.drain().published, 1);
    assert_eq!(files(&world), ONLY_THE_DATABASE);
}
