//! A daemon that is killed at any boundary leaves a state from which the next one continues, with
//! no human and no repair (I4), and at no moment an incomplete version under the pointer (I1).

use compactor_core::RunState;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::process::Ended;
use crate::world::{Kind, World};

/// What is merged in this module: with or without a snapshot to begin with, two runs.
struct Work {
    base: Option<Delta>,
    deltas: [Delta; 2],
}

impl Work {
    fn new(with_base: bool) -> Self {
        Self {
            base: with_base.then(|| Delta::of("lines", "base", 3)),
            deltas: [Delta::of("lines", "a", 3), Delta::of("lines", "b", 2)],
        }
    }

    fn submit(&self, world: &World) {
        if let Some(base) = &self.base {
            world.submit("run-base", &[base]);
            world.drain();
        }
        world.submit("run-a", &[&self.deltas[0]]);
        world.submit("run-b", &[&self.deltas[1]]);
    }

    fn content(&self) -> crate::content::Content {
        content_of(self.base.iter().chain(&self.deltas))
    }
}

fn kill(world: &World, step: Step) {
    let outcome = world.drain_with(Script::kill_at(step));
    assert!(
        matches!(outcome, Err(Ended::Crashed)),
        "{step:?}: {outcome:?}"
    );
}

/// What must hold at every moment, whatever was killed.
fn assert_safe(world: &World, old: Option<&String>, step: Step) {
    // Reading is a check that the version is complete.
    let now = world.snapshot("lines");
    let moved = now.as_ref().map(|now| now.version()).as_ref() != old;
    assert_eq!(moved, step_moves(step), "{step:?}");
    let lineage: Vec<_> = now.iter().flat_map(|now| now.lineage()).collect();
    for run in ["run-a", "run-b"] {
        let completed = world.state(run, "lines") == RunState::Completed;
        assert!(!completed || lineage.contains(&run), "{run} at {step:?}");
    }
    // A run that is not in the lineage still has its message.
    let depth = world.depth();
    let waiting = depth.visible + depth.delayed + depth.in_flight;
    let missing = ["run-a", "run-b"]
        .iter()
        .filter(|run| !lineage.contains(run))
        .count();
    assert!(waiting >= missing as u64, "{step:?}: {depth:?}");
    assert_eq!(depth.dead, 0);
}

fn step_moves(step: Step) -> bool {
    matches!(
        step,
        Step::Swapped | Step::Recorded | Step::Acknowledged | Step::Released
    )
}

fn assert_finished(world: &World, work: &Work, what: &str) {
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, work.content(), "{what}");
    for (run, merged) in [("run-a", 3), ("run-b", 2)] {
        let part = world.part(run, "lines");
        assert_eq!(
            (part.state, part.merged_vectors),
            (RunState::Completed, merged),
            "{run}, {what}"
        );
        assert!(snapshot.lineage().contains(&run));
    }
    assert!(world.queue_is_empty() && world.depth().dead == 0, "{what}");
    assert!(world.lease_is_free("lines"), "{what}");
}

fn at_every_step(kind: Kind, with_base: bool) {
    let work = Work::new(with_base);
    for step in Step::ALL {
        let world = World::new(kind);
        work.submit(&world);
        let old = world.pointer("lines");
        kill(&world, step);
        assert_safe(&world, old.as_ref(), step);
        world.let_everything_expire();
        world.drain();
        assert_finished(&world, &work, step.name());
        // A swap that took place is not repeated.
        let published = world.snapshot("lines").unwrap();
        let generations = if with_base { 2 } else { 1 };
        let mut ancestors = 0;
        let mut parent = published.manifest.parent;
        while let Some(found) = parent {
            ancestors += 1;
            parent = world.manifest("lines", &found.version).parent;
        }
        assert_eq!(ancestors + 1, generations, "{step:?}");
    }
}

#[test]
fn first_snapshot_is_finished_after_crash_at_any_step_fakes() {
    at_every_step(Kind::Fakes, false);
}

#[test]
fn first_snapshot_is_finished_after_crash_at_any_step_local() {
    at_every_step(Kind::Local, false);
}

#[test]
fn later_snapshot_is_finished_after_crash_at_any_step_fakes() {
    at_every_step(Kind::Fakes, true);
}

#[test]
fn later_snapshot_is_finished_after_crash_at_any_step_local() {
    at_every_step(Kind::Local, true);
}

/// Killed again and again, each time one step further than before.
fn one_step_further_each_time(kind: Kind) {
    let steps = Step::ALL.len() as u32;
    let (world, work) = (World::with_max_receives(kind, steps + 1), Work::new(true));
    work.submit(&world);
    for step in Step::ALL {
        let outcome = world.drain_with(Script::kill_at(step));
        // From the swap on there may be nothing left to be killed at.
        assert!(step_moves(step) || outcome.is_err(), "{step:?}");
        world.let_everything_expire();
    }
    world.drain();
    assert_finished(&world, &work, "at last");
}

#[test]
fn snapshot_is_finished_after_crashes_each_one_step_further_fakes() {
    one_step_further_each_time(Kind::Fakes);
}

#[test]
fn snapshot_is_finished_after_crashes_each_one_step_further_local() {
    one_step_further_each_time(Kind::Local);
}

both!(message_that_returns_before_lease_ends_waits_for_lease, in real time);
fn message_that_returns_before_lease_ends_waits_for_lease(world: World) {
    let work = Work::new(true);
    work.submit(&world);
    kill(&world, Step::Fetched);
    world.advance(world.settings.visibility);
    assert!(!world.lease_is_free("lines"));
    let stop = tokio_util::sync::CancellationToken::new();
    world
        .run_until(&stop, Script::stop_at(Step::Received, &stop))
        .unwrap();
    assert_eq!(world.uploads("lines").len(), 1);
    world.let_everything_expire();
    world.drain();
    assert_finished(&world, &work, "after the lease");
}
