//! Another writer moves the pointer while we work: the second writer starts again from the new
//! version, nothing of either is lost, and no upload is deleted.

use std::sync::Arc;

use compactor_core::{RunState, keys};
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::{Fate, Script};
use crate::process::elsewhere;
use crate::world::World;

/// Every version that has a manifest has all its files.
fn assert_all_uploads_are_whole(world: &World, expected: usize) {
    let uploads = world.uploads("lines");
    assert_eq!(uploads.len(), expected, "{uploads:?}");
    for version in uploads {
        let manifest = world.manifest("lines", &version.parse().unwrap());
        for file in &manifest.files {
            let key = keys::file(&manifest.lineage(), &manifest.version, &file.path);
            assert_eq!(world.body(&key).unwrap().len() as u64, file.size, "{key}");
        }
    }
}

/// Publishes a run by the rival the first time our cycle reaches `step`.
fn overtaken_at(world: &World, step: Step, rival: World, delta: &Delta) -> u64 {
    let delta = delta.clone();
    let hooks = Script::at(step, move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&delta]);
            assert_eq!(rival.drain().published, 1);
        });
    });
    world.drain_with(hooks).unwrap().published
}

const FROM_RESOLVED_ON: [Step; 6] = [
    Step::Resolved,
    Step::Fetched,
    Step::Merged,
    Step::Closed,
    Step::Verified,
    Step::Uploaded,
];

both!(overtaken_cycle_starts_again_from_version_of_rival, in real time);
fn overtaken_cycle_starts_again_from_version_of_rival(world: World) {
    let kind = world.kind;
    for step in FROM_RESOLVED_ON {
        let world = World::new(kind);
        let (base, ours, theirs) = (
            Delta::of("lines", "base", 3),
            Delta::of("lines", "ours", 2),
            Delta::of("lines", "theirs", 4),
        );
        world.submit("run-base", &[&base]);
        world.drain();
        world.submit("run-ours", &[&ours]);
        let published = overtaken_at(&world, step, world.rival(), &theirs);
        assert_eq!(published, 1, "{step:?}");
        let snapshot = world.snapshot("lines").unwrap();
        assert_eq!(
            snapshot.content,
            content_of([&base, &theirs, &ours]),
            "{step:?}"
        );
        assert_eq!(
            snapshot.lineage(),
            ["run-base", "run-theirs", "run-ours"],
            "{step:?}"
        );
        // The base's, theirs, ours that lost, ours that won.
        assert_all_uploads_are_whole(&world, 4);
        let part = world.part("run-ours", "lines");
        assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
        assert_eq!(part.version.unwrap().to_string(), snapshot.version());
        assert!(world.queue_is_empty() && world.depth().dead == 0);
    }
}

both!(second_of_two_first_snapshots_contains_both, in real time);
fn second_of_two_first_snapshots_contains_both(world: World) {
    let (ours, theirs) = (
        Delta::of("lines", "ours", 2),
        Delta::of("lines", "theirs", 4),
    );
    world.submit("run-ours", &[&ours]);
    overtaken_at(&world, Step::Uploaded, world.rival(), &theirs);
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of([&theirs, &ours]));
    assert_eq!(snapshot.lineage(), ["run-theirs", "run-ours"]);
    assert_all_uploads_are_whole(&world, 3);
}

/// The rival merges a run of ours: the same delta, the same id.
fn rival_merges(rival: &World, world_prefix: &str, run: &str) {
    rival.announce_at(run, "lines", world_prefix);
    assert_eq!(rival.drain().published, 1);
}

both!(run_published_by_rival_is_not_published_again, in real time);
fn run_published_by_rival_is_not_published_again(world: World) {
    let (base, ours) = (Delta::of("lines", "base", 3), Delta::of("lines", "ours", 2));
    world.submit("run-base", &[&base]);
    world.drain();
    world.submit("run-ours", &[&ours]);
    let (rival, prefix) = (world.rival(), world.prefix("run-ours", "lines"));
    let hooks = Script::at(Step::Uploaded, move || {
        elsewhere(|| rival_merges(&rival, &prefix, "run-ours"));
    });
    let summary = world.drain_with(hooks).unwrap();
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.lineage(), ["run-base", "run-ours"]);
    assert_eq!(snapshot.content, content_of([&base, &ours]));
    assert_all_uploads_are_whole(&world, 3);
    assert_eq!((summary.completed, summary.failed), (1, 0));
    let part = world.part("run-ours", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    assert_eq!(part.version.unwrap().to_string(), snapshot.version());
    assert!(world.queue_is_empty());
}

both!(record_of_run_published_by_rival_names_fence_of_rival, in real time);
fn record_of_run_published_by_rival_names_fence_of_rival(world: World) {
    world.submit("run-base", &[&Delta::of("lines", "base", 3)]);
    world.drain();
    world.submit("run-ours", &[&Delta::of("lines", "ours", 2)]);
    let (rival, prefix) = (world.rival(), world.prefix("run-ours", "lines"));
    let hooks = Script::at(Step::Uploaded, move || {
        elsewhere(|| rival_merges(&rival, &prefix, "run-ours"));
    });
    let summary = world.drain_with(hooks).unwrap();
    let manifest = world.snapshot("lines").unwrap().manifest;
    let part = world.part("run-ours", "lines");
    assert_eq!(part.version, Some(manifest.version));
    assert_eq!(part.fence, Some(manifest.fence));
    // The rival published it, not this daemon.
    assert_eq!(summary.published, 0);
}

both!(only_run_that_rival_did_not_publish_is_merged_again, in real time);
fn only_run_that_rival_did_not_publish_is_merged_again(world: World) {
    let (a, b) = (Delta::of("lines", "a", 2), Delta::of("lines", "b", 3));
    world.submit("run-a", &[&a]);
    world.submit("run-b", &[&b]);
    let (rival, prefix) = (world.rival(), world.prefix("run-a", "lines"));
    let hooks = Script::at(Step::Uploaded, move || {
        elsewhere(|| rival_merges(&rival, &prefix, "run-a"));
    });
    let summary = world.drain_with(hooks).unwrap();
    assert_eq!((summary.completed, summary.failed), (2, 0));
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of([&a, &b]));
    assert_eq!(snapshot.lineage(), ["run-a", "run-b"]);
    let merged: Vec<_> = snapshot
        .manifest
        .runs
        .iter()
        .map(|run| &run.run_id)
        .collect();
    assert_eq!(merged, [&crate::world::run_id("run-b")]);
    for (run, merged) in [("run-a", 2), ("run-b", 3)] {
        let part = world.part(run, "lines");
        assert_eq!(
            (part.state, part.merged_vectors),
            (RunState::Completed, merged)
        );
    }
}

both!(cycle_overtaken_too_often_gives_up_and_completes_later, in real time);
fn cycle_overtaken_too_often_gives_up_and_completes_later(world: World) {
    world.expects(&["CC-OVERTAKEN"]);
    let world = world.with(|settings| settings.rebases = 1);
    let ours = Delta::of("lines", "ours", 2);
    world.submit("run-ours", &[&ours]);
    let rival = Arc::new(world.rival());
    let hooks = {
        let rival = Arc::clone(&rival);
        Script::new(move |step, before| {
            if step == Step::Uploaded && before < 2 {
                elsewhere(|| {
                    let run = format!("run-theirs-{before}");
                    rival.submit(&run, &[&Delta::of("lines", &run, 1)]);
                    rival.drain();
                });
            }
            Fate::GoesOn
        })
    };
    let stop = CancellationToken::new();
    let until_released = {
        let (hooks, stop) = (Arc::clone(&hooks), stop.clone());
        Script::new(move |step, _| {
            if step == Step::Released {
                stop.cancel();
            }
            hooks.reach(step)
        })
    };
    world.run_until(&stop, until_released).unwrap();
    assert_eq!(world.state("run-ours", "lines"), RunState::Pending);
    assert_eq!(world.code("run-ours", "lines"), "CC-OVERTAKEN");
    assert!(world.lease_is_free("lines"));
    world.drain();
    assert_eq!(world.state("run-ours", "lines"), RunState::Completed);
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(
        snapshot.lineage(),
        ["run-theirs-0", "run-theirs-1", "run-ours"]
    );
    assert_eq!(snapshot.content.len(), 4);
    assert_all_uploads_are_whole(&world, 5);
}
