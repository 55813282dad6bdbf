//! One bad run never blocks the others of its batch, and ends as FAILED with its own reason.

use compactor_core::RunState;
use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::sabotage::{self, Bad};
use crate::world::{Kind, MAX_RECEIVES, World};

/// The bad run is in the record and in the dead letters, with its reason: after all its receives,
/// or at once where none would help.
fn assert_given_up(world: &World, bad: &Bad) {
    let part = world.part(bad.name, "lines");
    assert_eq!(part.state, RunState::Failed, "{}", bad.name);
    assert_eq!(world.code(bad.name, "lines"), bad.code, "{:?}", part.error);
    assert_eq!((part.merged_vectors, part.version), (0, None));
    let letters = world.dead_letters();
    let letter = letters.iter().find(|letter| letter.run() == bad.name);
    let reason = &letter.unwrap_or_else(|| panic!("{} is no dead letter", bad.name));
    // The reader of the reason is not on this machine.
    let scratch = world.dir.path().to_str().unwrap();
    assert!(!reason.reason.contains(scratch), "{}", reason.reason);
    assert_eq!(Some(&reason.reason), part.error.as_ref(), "{}", bad.name);
    assert_eq!(
        world.receives_of_dead(bad.name),
        attempts(bad) as usize,
        "{}",
        bad.name
    );
}

/// How often the run is tried: a missing delta may still arrive.
fn attempts(bad: &Bad) -> u32 {
    match bad.code {
        "CC-DELTA-MISSING" => MAX_RECEIVES,
        _ => 1,
    }
}

fn world_with_base(kind: Kind) -> (World, Delta) {
    let world = World::new(kind);
    let base = Delta::of("lines", "base", 3);
    world.submit("run-base", &[&base]);
    world.drain();
    (world, base)
}

fn beside_a_good_run(kind: Kind) {
    for bad in &sabotage::ALL {
        let (world, base) = world_with_base(kind);
        bad.submit(&world);
        let good = Delta::of("lines", "good", 2);
        world.submit("run-good", &[&good]);
        let diary = Script::watch();
        let summary = world.drain_with(diary.clone()).unwrap();
        assert_eq!(
            (summary.completed, summary.failed, summary.published),
            (1, u64::from(attempts(bad)), 1),
            "{}",
            bad.name
        );
        let snapshot = world.snapshot("lines").unwrap();
        assert_eq!(snapshot.content, content_of([&base, &good]), "{}", bad.name);
        assert_eq!(snapshot.lineage(), ["run-base", "run-good"], "{}", bad.name);
        let part = world.part("run-good", "lines");
        assert_eq!(part.version.unwrap().to_string(), snapshot.version());
        assert_given_up(&world, bad);
        assert!(world.queue_is_empty() && world.depth().dead == 1);
        // The good one did not wait for the bad one's last receive.
        assert_eq!(diary.count(Step::Swapped), 1, "{}", bad.name);
        assert_nothing_escaped(&world);
    }
}

/// No entry of an archive may appear outside of its own folder.
fn assert_nothing_escaped(world: &World) {
    let mut folders = vec![world.dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            assert_ne!(entry.file_name(), "escape");
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(!std::path::Path::new("/escape").exists());
}

#[test]
fn bad_run_of_each_kind_fails_without_blocking_good_run_fakes() {
    beside_a_good_run(Kind::Fakes);
}

#[test]
fn bad_run_of_each_kind_fails_without_blocking_good_run_local() {
    beside_a_good_run(Kind::Local);
}

fn all_kinds_at_once(kind: Kind) {
    let (world, base) = world_with_base(kind);
    let (mut deltas, mut lineage) = (vec![base], vec!["run-base".to_owned()]);
    for (at, bad) in sabotage::ALL.iter().enumerate() {
        bad.submit(&world);
        let good = Delta::of("lines", &format!("good{at}"), 1);
        let run = format!("run-good-{at}");
        world.submit(&run, &[&good]);
        deltas.push(good);
        lineage.push(run);
    }
    let summary = world.drain();
    assert_eq!(
        (summary.completed, summary.published),
        (sabotage::ALL.len() as u64, 1)
    );
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(&deltas));
    assert_eq!(snapshot.lineage(), lineage);
    for bad in &sabotage::ALL {
        assert_given_up(&world, bad);
    }
    assert_eq!(world.depth().dead, sabotage::ALL.len() as u64);
}

#[test]
fn bad_runs_of_all_kinds_fail_without_blocking_good_runs_fakes() {
    all_kinds_at_once(Kind::Fakes);
}

#[test]
fn bad_runs_of_all_kinds_fail_without_blocking_good_runs_local() {
    all_kinds_at_once(Kind::Local);
}

both!(run_with_missing_delta_completes_once_delta_arrives);
fn run_with_missing_delta_completes_once_delta_arrives(world: World) {
    world.expects(&["CC-DELTA-MISSING"]);
    let delta = Delta::of("lines", "late", 2);
    world.announce("run-late", "lines");
    let store = delta.write(&world, &world.folder("late"));
    let archive = chroma_store::pack(&store, &[], Vec::new()).unwrap();
    let key = format!("{}delta.tar.gz", world.prefix("run-late", "lines"));
    let world = std::sync::Arc::new(world);
    let hooks = Script::at(Step::Released, {
        let world = std::sync::Arc::clone(&world);
        move || {
            crate::process::elsewhere(|| {
                assert_eq!(world.state("run-late", "lines"), RunState::Pending);
                assert_eq!(world.code("run-late", "lines"), "CC-DELTA-MISSING");
                world.put(&key, archive);
            });
        }
    });
    let summary = world.drain_with(hooks).unwrap();
    assert_eq!((summary.completed, summary.failed), (1, 1));
    let part = world.part("run-late", "lines");
    assert_eq!((part.state, part.error), (RunState::Completed, None));
    assert_eq!(world.content("lines"), delta.content());
    assert_eq!(world.depth().dead, 0);
}

both!(packed_delta_over_limit_is_too_large);
fn packed_delta_over_limit_is_too_large(world: World) {
    world.expects(&["CC-TOO-LARGE"]);
    let world = world.with(|settings| settings.limits.archive_bytes = 1000);
    world.submit("run-a", &[&Delta::of("lines", "a", 3)]);
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Failed);
    assert_eq!(world.code("run-a", "lines"), "CC-TOO-LARGE");
}

both!(loose_delta_over_limit_is_too_large);
fn loose_delta_over_limit_is_too_large(world: World) {
    world.expects(&["CC-TOO-LARGE"]);
    let world = world.with(|settings| settings.limits.unpacked.bytes = 1000);
    let prefix = world.prefix("run-a", "lines");
    world.upload_loose(&prefix, &sabotage::good(&world, "run-a"));
    world.announce("run-a", "lines");
    world.drain();
    assert_eq!(world.state("run-a", "lines"), RunState::Failed);
    assert_eq!(world.code("run-a", "lines"), "CC-TOO-LARGE");
}

both!(failure_reason_names_delta_by_its_prefix);
fn failure_reason_names_delta_by_its_prefix(world: World) {
    world.expects(&["CS-HOT-JOURNAL"]);
    let store = sabotage::good(&world, "run-hot");
    std::fs::write(store.dir().join("chroma.sqlite3-journal"), "x").unwrap();
    world.upload_packed("run-hot", "lines", &store);
    world.announce("run-hot", "lines");
    world.drain();
    let error = world.part("run-hot", "lines").error.unwrap();
    let expected = "CS-HOT-JOURNAL: lines/delta/run-hot/chroma.sqlite3-journal: ";
    assert!(error.starts_with(expected), "{error}");
}
