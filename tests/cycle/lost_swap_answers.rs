//! The answer to the swap is lost, and before the daemon tries again other writers have built upon
//! the version that it published. The version counts as published, for it is in their lineage.

use std::sync::Arc;

use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::process::elsewhere;
use crate::wire::Turn;
use crate::world::World;

fn followed_by(mut world: World, successors: usize, with_base: bool) {
    let (base, ours) = (Delta::of("lines", "base", 3), Delta::of("lines", "ours", 2));
    let mut all = Vec::new();
    if with_base {
        world.submit("run-base", &[&base]);
        world.drain();
        all.push(base);
    }
    world.submit("run-ours", &[&ours]);
    all.push(ours);
    let rival = world.rival();
    let theirs: Vec<_> = (0..successors)
        .map(|number| Delta::of("lines", &format!("theirs{number}"), 1))
        .collect();
    all.extend(theirs.iter().cloned());
    let overtake = move || {
        elsewhere(|| {
            for (number, delta) in theirs.iter().enumerate() {
                rival.submit(&format!("run-theirs-{number}"), &[delta]);
                rival.drain();
            }
        });
    };
    world.tamper([Turn::LoseTheAnswer, Turn::After(Box::new(overtake))]);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.failed), (1, 0));
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(&all));
    let ours = snapshot.lineage();
    assert_eq!(ours.iter().filter(|run| **run == "run-ours").count(), 1);
    // One upload each: no run was merged twice.
    assert_eq!(world.uploads("lines").len(), all.len());
    let part = world.part("run-ours", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    let named = world.manifest("lines", &part.version.unwrap());
    assert!(named.contains_run(&crate::world::run_id("run-ours")));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

both!(swap_with_lost_answer_is_committed_without_successor, in real time);
fn swap_with_lost_answer_is_committed_without_successor(world: World) {
    followed_by(world, 0, true);
}

both!(swap_with_lost_answer_is_committed_below_one_successor, in real time);
fn swap_with_lost_answer_is_committed_below_one_successor(world: World) {
    followed_by(world, 1, true);
}

both!(swap_with_lost_answer_is_committed_below_three_successors, in real time);
fn swap_with_lost_answer_is_committed_below_three_successors(world: World) {
    followed_by(world, 3, true);
}

both!(first_swap_with_lost_answer_is_committed_below_one_successor, in real time);
fn first_swap_with_lost_answer_is_committed_below_one_successor(world: World) {
    followed_by(world, 1, false);
}

both!(first_swap_with_lost_answer_is_committed_below_three_successors, in real time);
fn first_swap_with_lost_answer_is_committed_below_three_successors(world: World) {
    followed_by(world, 3, false);
}

both!(rival_that_publishes_just_before_our_put_wins, in real time);
fn rival_that_publishes_just_before_our_put_wins(mut world: World) {
    let (ours, theirs) = (
        Delta::of("lines", "ours", 2),
        Delta::of("lines", "theirs", 4),
    );
    world.submit("run-ours", &[&ours]);
    let rival = Arc::new(world.rival());
    let delta = theirs.clone();
    world.tamper([Turn::After(Box::new(move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&delta]);
            rival.drain();
        });
    }))]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.lineage(), ["run-theirs", "run-ours"]);
    assert_eq!(snapshot.content, content_of([&theirs, &ours]));
}
