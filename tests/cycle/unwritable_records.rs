//! A record that cannot be written: the message stays until the record says what became of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use compactor_core::RunState;
use compactor_core::fakes::{Call, Inject};
use compactor_core::ports::Fault;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::process::Ended;
use crate::process::elsewhere;
use crate::sabotage;
use crate::world::{Backend, Kind, MAX_RECEIVES, World, settings};

const COMES_BACK: &str = "cannot read what a run merged; it comes back";

/// Lets the first `calls` calls of `operation` fail, such as all attempts of the first delivery.
fn first(calls: u32, operation: &'static str) -> impl FnMut(&Call) -> Option<Inject> {
    let mut left = calls;
    move |call| {
        let fails = call.operation == operation && left > 0;
        left -= u32::from(fails);
        fails.then_some(Inject::FailBefore(Fault::Transient))
    }
}

#[test]
fn completed_run_is_not_acknowledged_until_recorded() {
    let world = World::new(Kind::Fakes);
    world.expects(&["trying again", "cannot record a completed run"]);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let Backend::Fakes { runs, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    runs.faults.when(first(world.settings.attempts, "complete"));
    let summary = world.drain();
    assert_eq!((summary.published, summary.completed), (1, 1));
    let part = world.part("run-a", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 2));
    assert_eq!(world.content("lines"), delta.content());
    assert!(world.queue_is_empty());
}

/// Submits a run that can never be published, and lets the first calls that record its failure fail.
/// Returns how often the run failed, and what its record says in the end.
fn failure_after(calls_that_fail: u32) -> (u64, RunState) {
    let world = World::new(Kind::Fakes);
    world.expects(&["trying again", "cannot record the failure"]);
    let bad = sabotage::ALL.iter().find(|bad| bad.name == "no-archive");
    let bad = bad.unwrap();
    bad.submit(&world);
    let Backend::Fakes { runs, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    runs.faults.when(first(calls_that_fail, "fail"));
    let summary = world.drain();
    assert!(world.queue_is_empty() && world.depth().dead == 1);
    (summary.failed, world.state(bad.name, "lines"))
}

/// A producer that waits for a run looks at its record.
#[test]
fn failed_run_is_not_buried_until_recorded() {
    assert_eq!(failure_after(settings().attempts), (2, RunState::Failed));
}

#[test]
fn undecodable_message_is_not_buried_until_recorded() {
    let world = World::new(Kind::Fakes);
    world.expects(&[
        "trying again",
        "CC-MESSAGE-PREFIX",
        "cannot record the failure",
    ]);
    let body = r#"{"entity_type": "COMPACTION_RUN", "entity_data":
        {"run_id": "r1", "lines_delta_prefix": "lines/delta/../../etc/"}}"#;
    world.send_raw(
        body,
        &[("collection".to_owned(), "lines".to_owned())].into(),
    );
    let Backend::Fakes { runs, .. } = &world.backend else {
        unreachable!("asked for fakes");
    };
    runs.faults.when(first(1, "fail"));
    world.drain();
    assert_eq!(world.state("r1", "lines"), RunState::Failed);
    assert_eq!(world.receives_of_dead("r1"), 2);
    assert!(world.queue_is_empty() && world.depth().dead == 1);
}

/// Otherwise its message would stay in the queue for ever.
#[test]
fn failed_run_that_is_never_recorded_is_buried_after_last_receive() {
    assert_eq!(
        failure_after(u32::MAX),
        (MAX_RECEIVES.into(), RunState::Processing)
    );
}

/// Runs are published and not recorded, then another one is published on top. The next version says
/// only that they are in it, so the daemon reads from their own version how much they merged. That
/// read meets `fault`. Returns how often the daemon tried it, and how the daemon ended.
fn drain_unread(
    world: &World,
    runs: &[&str],
    fault: impl Fn() -> Option<Fault> + Send + 'static,
) -> (u32, Result<(), Ended>) {
    world.expects(&["trying again", "cannot record a completed run", COMES_BACK]);
    let Backend::Fakes {
        runs: records,
        objects,
        ..
    } = &world.backend
    else {
        unreachable!("asked for fakes");
    };
    for run in runs {
        world.submit(run, &[&Delta::of("lines", run, 2)]);
    }
    let failures = world.settings.attempts * runs.len() as u32;
    records.faults.when(first(failures, "complete"));
    let is_on_top = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU32::new(0));
    let (on_top, counted, mut own) = (Arc::clone(&is_on_top), Arc::clone(&reads), None);
    objects.faults.when(move |call| {
        if !call.target.ends_with("/manifest.json") {
            return None;
        }
        let is_own = own.get_or_insert_with(|| call.target.clone()) == &call.target;
        let for_figure = is_own && call.operation == "get" && on_top.load(Ordering::SeqCst);
        let fault = fault().filter(|_| for_figure)?;
        counted.fetch_add(1, Ordering::SeqCst);
        Some(Inject::FailBefore(fault))
    });
    let rival = world.rival();
    let then = move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&Delta::of("lines", "theirs", 1)]);
            rival.drain();
        });
        is_on_top.store(true, Ordering::SeqCst);
    };
    let outcome = world.drain_with(Script::at(Step::Released, then));
    (reads.load(Ordering::SeqCst), outcome.map(drop))
}

/// What is recorded of a run in the end.
#[track_caller]
fn merged(world: &World, run: &str) -> u64 {
    assert!(world.logs.said(COMES_BACK));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    let part = world.part(run, "lines");
    assert_eq!(part.state, RunState::Completed);
    part.merged_vectors
}

#[test]
fn merged_count_that_is_briefly_unreadable_is_recorded_later() {
    let world = World::new(Kind::Fakes);
    let logs = world.logs.clone();
    let until_it_comes_back = move || (!logs.said(COMES_BACK)).then_some(Fault::Transient);
    let (_, outcome) = drain_unread(&world, &["ours"], until_it_comes_back);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(merged(&world, "ours"), 2);
    let both = [
        Delta::of("lines", "ours", 2),
        Delta::of("lines", "theirs", 1),
    ];
    assert_eq!(world.content("lines"), content_of(&both));
}

/// The run is published, so burying it gains nothing.
#[test]
fn merged_count_that_stays_unreadable_is_recorded_as_zero() {
    let world = World::new(Kind::Fakes);
    world.expects(&["cannot tell how many records a run merged"]);
    let (_, outcome) = drain_unread(&world, &["ours"], || Some(Fault::Transient));
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(merged(&world, "ours"), 0);
}

/// A figure is not worth a pause: the published version itself is sound.
#[test]
fn merged_count_in_damaged_manifest_is_recorded_as_zero_at_once() {
    let world = World::new(Kind::Fakes);
    world.expects(&["cannot tell how many records a run merged"]);
    let (_, outcome) = drain_unread(&world, &["ours"], || Some(Fault::TooLarge));
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(!world.logs.said(COMES_BACK));
    let part = world.part("ours", "lines");
    assert_eq!((part.state, part.merged_vectors), (RunState::Completed, 0));
    assert!(world.queue_is_empty() && world.depth().dead == 0);
}

#[test]
fn merged_counts_of_several_runs_are_looked_up_once() {
    let reads = |runs: &[&str]| {
        let world = World::new(Kind::Fakes);
        world.expects(&["cannot tell how many records a run merged"]);
        let (reads, outcome) = drain_unread(&world, runs, || Some(Fault::Transient));
        assert!(outcome.is_ok(), "{outcome:?}");
        for run in runs {
            assert_eq!(merged(&world, run), 0);
        }
        reads
    };
    assert_eq!(reads(&["a", "b", "c"]), reads(&["a"]));
}

/// Another receive does not help; permissions do.
#[test]
fn daemon_that_is_denied_the_merged_count_ends() {
    let world = World::new(Kind::Fakes);
    world.expects(&["CC-PORT-DENIED"]);
    let (_, outcome) = drain_unread(&world, &["ours"], || Some(Fault::Denied));
    let port = outcome
        .as_ref()
        .err()
        .and_then(|ended| ended.error().port());
    let is_denied = port.is_some_and(|(_, error)| error.fault == Fault::Denied);
    assert!(is_denied, "{outcome:?}");
    assert_ne!(world.state("ours", "lines"), RunState::Completed);
    assert!(!world.queue_is_empty() && world.depth().dead == 0);
}
