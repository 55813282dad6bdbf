//! What `submit` refuses before it uploads anything.

use chroma_store::{DOCUMENT_KEY, Operation};
use compactor_core::fakes::Inject;
use compactor_core::keys;
use compactor_core::ports::Fault;

use crate::deltas::Delta;
use crate::world::{Backend, Kind, World, lineage, name};

/// A world in which a snapshot of four dimensions is published.
fn published() -> World {
    let world = World::new(Kind::Fakes);
    world.submit("run-base", &[&Delta::of("lines", "base", 3)]);
    world.drain();
    world
}

/// A delta of two dimensions.
fn narrow() -> Delta {
    let patch = vec![(DOCUMENT_KEY.to_owned(), Some("narrow".into()))];
    Delta::new("lines", vec![Operation::upsert("n", &[1.0, 2.0], patch)])
}

#[test]
fn delta_of_other_dimension_is_refused_before_upload() {
    let world = published();
    let before = world.keys("lines/delta/");
    let refused = world.try_submit("run-narrow", &[&narrow()]).unwrap_err();
    assert_eq!(refused.code(), "CS-DIMENSION");
    assert_eq!(world.keys("lines/delta/"), before);
    // The id is still free.
    let fitting = Delta::of("lines", "more", 1);
    world.submit("run-narrow", &[&fitting]);
    assert_eq!(world.drain().completed, 1);
}

#[test]
fn producer_without_read_access_to_snapshots_can_submit() {
    let world = published();
    let Backend::Fakes { objects, .. } = &world.backend else {
        panic!("fakes were asked for");
    };
    let denied = |operation| operation == "get";
    objects
        .faults
        .when(move |call| denied(call.operation).then_some(Inject::FailBefore(Fault::Denied)));
    world.submit("run-more", &[&Delta::of("lines", "more", 1)]);
    objects.faults.clear();
    assert_eq!(world.drain().completed, 1);
}

/// Another process opens the database between the first look at its descriptors and the last.
#[cfg(target_os = "linux")]
#[test]
fn directory_opened_during_submit_is_refused() {
    use std::process::{Child, Command};
    use std::sync::{Arc, Mutex};

    let world = published();
    let dir = world.folder("opened").join("lines");
    Delta::of("lines", "more", 1).write(&world, &dir);
    let Backend::Fakes { objects, .. } = &world.backend else {
        panic!("fakes were asked for");
    };
    let holder: Arc<Mutex<Option<Child>>> = Arc::default();
    let (held, database) = (Arc::clone(&holder), dir.join("chroma.sqlite3"));
    let pointer = keys::pointer(&lineage("lines"));
    objects.faults.when(move |call| {
        if call.target == pointer {
            let file = std::fs::File::open(&database).unwrap();
            let child = Command::new("sleep").arg("600").stdin(file).spawn();
            *held.lock().unwrap() = Some(child.unwrap());
        }
        None
    });
    let before = world.keys("lines/delta/");
    let places = || [(name("lines"), dir.clone())].into();
    let refused = world.submit_places("run-opened", places());
    objects.faults.clear();
    let mut holder = holder.lock().unwrap().take().unwrap();
    let pid = holder.id().to_string();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "CS-IN-USE");
    assert!(refused.to_string().contains(&pid), "{refused}");
    assert_eq!(world.keys("lines/delta/"), before);
    world.submit_places("run-opened", places()).unwrap();
}
