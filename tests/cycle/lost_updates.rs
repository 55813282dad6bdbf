//! A writer that does not keep the protocol moves the pointer to a version that was made without our
//! last one. The next cycle notices it, and the lost runs can be announced again.

use chroma_store::{ClosedStore, pack};
use compactor_core::manifest::Layout;
use compactor_core::{Manifest, RunState, Version, keys};

use crate::deltas::{Delta, content_of};
use crate::world::{World, lineage};

/// A Python writer publishes `content`, made from our version `from`, whose files it downloaded with
/// everything beside them.
fn overwrite(world: &World, from: Option<&str>, store: &ClosedStore) -> Version {
    let lines = lineage("lines");
    let manifest = from.map(|from| {
        let key = keys::manifest(&lines, &from.parse().unwrap());
        world.body(&key).unwrap()
    });
    let notes: Vec<(&str, &[u8])> = manifest
        .iter()
        .map(|manifest| (keys::MANIFEST_NAME, manifest.as_slice()))
        .collect();
    let archive = pack(store, &notes, Vec::new()).unwrap();
    // Newer than all of ours: the time in the id proves nothing.
    let version: Version = "20991231_235959_000000_00000000".parse().unwrap();
    world.put(&keys::snapshot_archive(&lines, &version), archive);
    world.put(
        &keys::snapshot_hash(&lines, &version),
        "md5 that nobody can make again",
    );
    world.put(&keys::pointer(&lines), version.to_string());
    version
}

fn publish(world: &World, run: &str, delta: &Delta) -> String {
    world.submit(run, &[delta]);
    assert_eq!(world.drain().published, 1);
    world.pointer("lines").unwrap()
}

both!(overwritten_runs_fail_and_complete_when_announced_again);
fn overwritten_runs_fail_and_complete_when_announced_again(world: World) {
    world.expects(&["CC-OVERWRITTEN"]);
    let [base, lost, theirs, next] =
        ["base", "lost", "theirs", "next"].map(|prefix| Delta::of("lines", prefix, 3));
    let first = publish(&world, "run-base", &base);
    publish(&world, "run-lost", &lost);
    // Theirs was made from the first version, which has `base`.
    let both = base.and(&theirs);
    let store = both.write(&world, &world.folder("theirs"));
    overwrite(&world, Some(&first), &store);

    publish(&world, "run-next", &next);
    assert_eq!(world.content("lines"), content_of([&base, &theirs, &next]));
    assert_eq!(world.state("run-base", "lines"), RunState::Completed);
    assert_eq!(world.state("run-next", "lines"), RunState::Completed);
    assert_eq!(world.state("run-lost", "lines"), RunState::Failed);
    assert_eq!(world.code("run-lost", "lines"), "CC-OVERWRITTEN");
    let lineage = world.snapshot("lines").unwrap().manifest.applied_runs;
    let lineage: Vec<&str> = lineage.iter().map(|run| run.as_str()).collect();
    assert_eq!(
        lineage,
        ["run-base", "run-next"],
        "the version that theirs was made from counts"
    );

    world.send("run-lost", "lines");
    assert_eq!(world.drain().completed, 1);
    assert_eq!(world.state("run-lost", "lines"), RunState::Completed);
    let all = content_of([&base, &theirs, &next, &lost]);
    assert_eq!(world.content("lines"), all);
}

// Python writers keep four versions and delete the others.
both!(overwritten_runs_of_deleted_versions_fail);
fn overwritten_runs_of_deleted_versions_fail(world: World) {
    world.expects(&["CC-OVERWRITTEN"]);
    let [base, one, two, theirs, next] =
        ["base", "one", "two", "theirs", "next"].map(|prefix| Delta::of("lines", prefix, 2));
    let first = publish(&world, "run-base", &base);
    let gone = publish(&world, "run-one", &one);
    publish(&world, "run-two", &two);
    for key in world.keys(&keys::version_prefix(
        &lineage("lines"),
        &gone.parse().unwrap(),
    )) {
        world.delete(&key);
    }
    let both = base.and(&theirs);
    let store = both.write(&world, &world.folder("theirs"));
    overwrite(&world, Some(&first), &store);
    publish(&world, "run-next", &next);
    for run in ["run-one", "run-two"] {
        assert_eq!(world.state(run, "lines"), RunState::Failed, "{run}");
        assert_eq!(world.code(run, "lines"), "CC-OVERWRITTEN", "{run}");
    }
    assert_eq!(world.state("run-base", "lines"), RunState::Completed);
}

both!(overwrite_made_from_newest_version_fails_no_run);
fn overwrite_made_from_newest_version_fails_no_run(world: World) {
    let kind = world.kind;
    for layout in [Layout::Files, Layout::Archive] {
        let world = World::new(kind).with(|settings| settings.layout = layout);
        let [one, two, next] = ["one", "two", "next"].map(|prefix| Delta::of("lines", prefix, 3));
        publish(&world, "run-one", &one);
        let newest = publish(&world, "run-two", &two);
        let both = one.and(&two);
        let store = both.write(&world, &world.folder("theirs"));
        overwrite(&world, Some(&newest), &store);
        publish(&world, "run-next", &next);
        for run in ["run-one", "run-two", "run-next"] {
            assert_eq!(world.state(run, "lines"), RunState::Completed, "{run}");
        }
        assert_eq!(
            world.snapshot("lines").unwrap().lineage(),
            ["run-one", "run-two", "run-next"]
        );
    }
}

both!(overwrite_made_from_no_version_of_ours_fails_all_runs);
fn overwrite_made_from_no_version_of_ours_fails_all_runs(world: World) {
    world.expects(&["CC-OVERWRITTEN"]);
    let [ours, theirs, next] =
        ["ours", "theirs", "next"].map(|prefix| Delta::of("lines", prefix, 3));
    publish(&world, "run-ours", &ours);
    let store = theirs.write(&world, &world.folder("theirs"));
    overwrite(&world, None, &store);
    publish(&world, "run-next", &next);
    assert_eq!(world.code("run-ours", "lines"), "CC-OVERWRITTEN");
    assert_eq!(world.content("lines"), content_of([&theirs, &next]));
}

// In the layout that Python writers know, the manifest is in the archive that they unpack.
both!(snapshot_archive_contains_its_manifest);
fn snapshot_archive_contains_its_manifest(world: World) {
    let world = world.with(|settings| settings.layout = Layout::Archive);
    let version = publish(&world, "run-a", &Delta::of("lines", "a", 3));
    let version: Version = version.parse().unwrap();
    let archive = world
        .body(&keys::snapshot_archive(&lineage("lines"), &version))
        .unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with(keys::MANIFEST_NAME) {
            std::io::Read::read_to_end(&mut entry, &mut found).unwrap();
        }
    }
    let beside = world
        .body(&keys::manifest(&lineage("lines"), &version))
        .unwrap();
    let parse = |json: &[u8]| Manifest::parse(json).unwrap();
    let mut beside = parse(&beside);
    assert!(
        beside.archive.take().is_some(),
        "only the manifest beside the archive has its digest"
    );
    assert_eq!(parse(&found), beside);
}
