//! Files that a cycle did not change are copied inside the store, not sent again.

use chroma_store::FlushWhen;
use compactor_core::keys;
use compactor_snapshots::Step;

use crate::content::in_thousandths;
use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{World, lineage};

both!(unchanged_files_are_copied_from_previous_version);
fn unchanged_files_are_copied_from_previous_version(world: World) {
    let (a, b) = (Delta::of("lines", "a", 30), Delta::of("lines", "b", 2));
    let world = world.with(|settings| settings.merge.flush.when = FlushWhen::Always);
    world.submit("run-a", &[&a]);
    assert_eq!(world.drain().published, 1);
    let first = world.snapshot("lines").unwrap().manifest;
    let world = world.with(|settings| settings.merge.flush.when = FlushWhen::Never);
    world.submit("run-b", &[&b]);
    assert_eq!(world.drain().published, 1);
    let snapshot = world.snapshot("lines").unwrap();
    let expected = in_thousandths(content_of([&a, &b]));
    assert!(in_thousandths(snapshot.content) == expected);

    let second = snapshot.manifest;
    assert_eq!(second.files.len(), 6, "the database and the index files");
    for file in &second.files {
        let key = keys::file(&lineage("lines"), &second.version, &file.path);
        let object = world
            .wait(world.objects().get(&key, 1 << 20))
            .unwrap()
            .unwrap();
        // A copy is the same object, metadata included.
        let is_copy = object.metadata["nonce"] == first.nonce.to_string();
        assert_eq!(is_copy, file.path != "chroma.sqlite3", "{}", file.path);
    }
}

both!(unchanged_files_of_working_copy_are_copied_inside_store);
fn unchanged_files_of_working_copy_are_copied_inside_store(world: World) {
    // The first one is flushed, the second one is too small for that.
    let (a, b) = (Delta::of("lines", "a", 1000), Delta::of("lines", "b", 2));
    let world = world.with(|settings| settings.batch_runs = 1);
    world.submit("run-a", &[&a]);
    world.submit("run-b", &[&b]);
    assert_eq!(world.drain().published, 2);
    let [first, second] = &world.manifests("lines")[..] else {
        panic!("two versions");
    };
    assert_eq!(second.files.len(), 6);
    for file in &second.files {
        let key = keys::file(&lineage("lines"), &second.version, &file.path);
        let object = world.wait(world.objects().get(&key, u64::MAX)).unwrap();
        let nonce = &object.unwrap().metadata["nonce"];
        let is_copy = *nonce == first.nonce.to_string();
        assert_eq!(is_copy, file.path != "chroma.sqlite3", "{}", file.path);
    }
    let expected = in_thousandths(content_of([&a, &b]));
    assert!(in_thousandths(world.content("lines")) == expected);
}

// Damage gave the object another tag, so the file is not copied but uploaded.
both!(object_changed_since_publishing_is_not_copied);
fn object_changed_since_publishing_is_not_copied(world: World) {
    let (a, b) = (Delta::of("lines", "a", 1000), Delta::of("lines", "b", 2));
    let world = std::sync::Arc::new(world.with(|settings| settings.batch_runs = 1));
    world.submit("run-a", &[&a]);
    world.submit("run-b", &[&b]);
    let other = std::sync::Arc::clone(&world);
    let hooks = Script::at(Step::Released, move || {
        crate::process::elsewhere(|| {
            let key = other
                .keys("lines/snapshot/timestamped/")
                .into_iter()
                .find(|key| key.ends_with("data_level0.bin"));
            let key = key.unwrap();
            let mut body = other.body(&key).unwrap();
            body[100] ^= 1;
            other.put(&key, body);
        });
    });
    assert_eq!(world.drain_with(hooks).unwrap().published, 2);
    // Reading checks every file against the manifest.
    let expected = in_thousandths(content_of([&a, &b]));
    assert!(in_thousandths(world.content("lines")) == expected);
}

both!(upload_that_differs_from_verified_bytes_is_not_published);
fn upload_that_differs_from_verified_bytes_is_not_published(mut world: World) {
    world.expects(&["CC-UPLOAD-DIFFERS"]);
    world.spoil_uploads(1);
    let delta = Delta::of("lines", "a", 2);
    world.submit("run-a", &[&delta]);
    let stop = tokio_util::sync::CancellationToken::new();
    let hooks = Script::stop_at(Step::Released, &stop);
    assert_eq!(world.run_until(&stop, hooks).unwrap().published, 0);
    assert_eq!(world.pointer("lines"), None);
    assert_eq!(world.code("run-a", "lines"), "CC-UPLOAD-DIFFERS");
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.content("lines"), delta.content());
}
