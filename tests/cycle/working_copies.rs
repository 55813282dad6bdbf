//! The working copy that is kept from one cycle to the next.

use compactor_snapshots::Step;

use crate::deltas::{Delta, content_of};
use crate::hooks::{Fate, Script};
use crate::port_faults::all_faults;
use crate::process::elsewhere;
use crate::world::{Kind, World};

/// Downloads of files of published snapshots.
fn downloads(world: &World) -> usize {
    let calls = all_faults(world)[0].calls();
    let of_snapshots = calls.iter().filter(|call| {
        call.operation == "download" && call.target.contains("/snapshot/timestamped/")
    });
    of_snapshots.count()
}

fn three_runs(world: &World) -> [Delta; 3] {
    let deltas = ["a", "b", "c"].map(|prefix| Delta::of("lines", prefix, 3));
    for delta in deltas.iter().zip(["run-a", "run-b", "run-c"]) {
        world.submit(delta.1, &[delta.0]);
    }
    deltas
}

#[test]
fn published_working_copy_is_not_downloaded_again() {
    let world = World::new(Kind::Fakes).with(|settings| settings.batch_runs = 1);
    let [a, b, c] = three_runs(&world);
    let before = downloads(&world);
    assert_eq!(world.drain().published, 3);
    assert_eq!(downloads(&world), before);
    assert_eq!(world.content("lines"), content_of([&a, &b, &c]));
}

#[test]
fn changed_working_copy_is_not_reused() {
    let world = World::new(Kind::Fakes).with(|settings| settings.batch_runs = 1);
    let [a, b, c] = three_runs(&world);
    let scratch = world.scratch();
    let mut spoilt = 0;
    let hooks = Script::new(move |step, _| {
        if step == Step::Released {
            spoilt += spoil(&scratch);
            assert!(spoilt > 0, "nothing was kept");
        }
        Fate::GoesOn
    });
    let before = downloads(&world);
    assert_eq!(world.drain_with(hooks).unwrap().published, 3);
    assert!(downloads(&world) > before, "it was downloaded instead");
    assert_eq!(world.content("lines"), content_of([&a, &b, &c]));
}

/// Changes a byte of every kept database.
fn spoil(scratch: &std::path::Path) -> usize {
    let mut spoilt = 0;
    for daemon in std::fs::read_dir(scratch).unwrap() {
        for kept in std::fs::read_dir(daemon.unwrap().path()).unwrap() {
            let database = kept.unwrap().path().join("snapshot/chroma.sqlite3");
            if let Ok(mut body) = std::fs::read(&database) {
                let middle = body.len() / 2;
                body[middle] ^= 1;
                std::fs::write(&database, body).unwrap();
                spoilt += 1;
            }
        }
    }
    spoilt
}

both!(version_of_another_writer_is_downloaded, in real time);
fn version_of_another_writer_is_downloaded(world: World) {
    let world = world.with(|settings| settings.batch_runs = 1);
    let rival = world.rival();
    let [a, b, c] = three_runs(&world);
    let theirs = Delta::of("lines", "theirs", 2);
    let delta = theirs.clone();
    let hooks = Script::at(Step::Released, move || {
        elsewhere(|| {
            rival.submit("run-theirs", &[&delta]);
            assert_eq!(rival.drain().published, 1);
        });
    });
    world.drain_with(hooks).unwrap();
    assert_eq!(world.content("lines"), content_of([&a, &theirs, &b, &c]));
}
