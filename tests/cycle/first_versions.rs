//! A collection's first snapshot and its second: what objects there are, and what they say.

use compactor_core::manifest::{AppliedRun, Layout};
use compactor_core::{RunState, keys};

use crate::deltas::{Delta, content_of};
use crate::world::{World, lineage, run_id};

both!(first_batch_makes_snapshot_and_second_batch_extends_it);
fn first_batch_makes_snapshot_and_second_batch_extends_it(world: World) {
    assert!(world.snapshot("lines").is_none());
    let (a, b, c) = (
        Delta::of("lines", "a", 3),
        Delta::of("lines", "b", 2),
        Delta::of("lines", "c", 4),
    );
    world.submit("run-a", &[&a]);
    world.submit("run-b", &[&b]);
    let summary = world.drain();
    assert_eq!(
        (summary.completed, summary.failed, summary.published),
        (2, 0, 1)
    );
    let first = world.snapshot("lines").unwrap();
    assert_eq!(first.content, content_of([&a, &b]));
    assert_eq!(first.lineage(), ["run-a", "run-b"]);
    assert!(first.manifest.parent.is_none());

    world.submit("run-c", &[&c]);
    assert_eq!(world.drain().published, 1);
    let second = world.snapshot("lines").unwrap();
    assert_eq!(second.content, content_of([&a, &b, &c]));
    assert_eq!(second.lineage(), ["run-a", "run-b", "run-c"]);
    let parent = second.manifest.parent.unwrap();
    assert_eq!(parent.version, first.manifest.version);
    assert!(second.manifest.version > first.manifest.version);
    assert!(second.manifest.fence > first.manifest.fence);
    assert_ne!(second.manifest.nonce, first.manifest.nonce);
    let merged = AppliedRun {
        run_id: run_id("run-c"),
        added: 4,
        updated: 0,
        deleted: 0,
        merged: 4,
        ignored: 0,
    };
    assert_eq!(second.manifest.runs, [merged]);
    for (run, version, merged) in [
        ("run-a", &first.manifest.version, 3),
        ("run-b", &first.manifest.version, 2),
        ("run-c", &second.manifest.version, 4),
    ] {
        let part = world.part(run, "lines");
        assert_eq!(part.state, RunState::Completed);
        assert_eq!(part.version.as_ref(), Some(version), "{run}");
        assert_eq!((part.merged_vectors, part.error), (merged, None), "{run}");
        assert!(part.started_at.unwrap() <= part.finished_at.unwrap());
    }
    assert_eq!(
        world.part("run-c", "lines").fence,
        Some(second.manifest.fence)
    );
    assert!(world.queue_is_empty() && world.depth().dead == 0);
    assert!(world.lease_is_free("lines"));
}

both!(published_objects_match_layout_and_manifest);
fn published_objects_match_layout_and_manifest(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 3)]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    let version = snapshot.version();
    assert_eq!(world.pointer("lines").unwrap(), version);
    assert_eq!(
        world.uploads("lines").as_slice(),
        std::slice::from_ref(&version)
    );

    let below = format!("lines/snapshot/timestamped/{version}/");
    let mut expected = vec![
        "lines/delta/run-a/delta.tar.gz".to_owned(),
        "lines/snapshot/latest-pointer.txt".to_owned(),
        format!("{below}.snapshot_hash"),
        format!("{below}manifest.json"),
    ];
    let files = snapshot.files.iter();
    expected.extend(files.map(|file| format!("{below}{}", file.path)));
    expected.sort_unstable();
    assert_eq!(world.keys(""), expected);
    assert!(expected.contains(&format!("{below}chroma.sqlite3")));

    let manifest = &snapshot.manifest;
    assert_eq!(manifest.layout, Layout::Files);
    assert_eq!(manifest.created_by, "the tests of the cycle");
    let listed = manifest.files.iter();
    let listed: Vec<_> = listed
        .map(|file| (&file.path, file.size, &file.sha256))
        .collect();
    let files = snapshot.files.iter();
    let files: Vec<_> = files
        .map(|file| (&file.path, file.size, &file.sha256))
        .collect();
    assert_eq!(listed, files);
    let rows = &manifest.rows;
    assert_eq!((rows.records, rows.dimension), (3, Some(4)));
    assert_eq!(
        (rows.space.as_str(), rows.schema_level.as_str()),
        ("cosine", "L15")
    );
}

both!(hash_object_is_what_older_readers_parse);
fn hash_object_is_what_older_readers_parse(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 3)]);
    world.drain();
    let snapshot = world.snapshot("lines").unwrap();
    let key = keys::snapshot_hash(&lineage("lines"), &snapshot.manifest.version);
    let hash: serde_json::Value = serde_json::from_slice(&world.body(&key).unwrap()).unwrap();
    let text = |field: &str| hash[field].as_str().unwrap().to_owned();
    assert_eq!(
        (text("algorithm"), text("version")),
        ("md5".into(), "1.0".into())
    );
    assert_eq!(text("directory_hash").len(), 32);
    assert_eq!(hash["file_count"], snapshot.files.len());
    let bytes: u64 = snapshot.files.iter().map(|file| file.size).sum();
    assert_eq!(hash["total_size_bytes"], bytes);
    assert!(hash["calculation_time_seconds"].as_f64().unwrap() >= 0.0);
    assert!(text("calculated_at").ends_with("+00:00"));

    let again = snapshot
        .files
        .iter()
        .map(|file| compactor_core::snapshot_hash::HashedFile {
            path: file.path.clone(),
            md5: file.md5.clone(),
            size: file.size,
        });
    let again = compactor_core::snapshot_hash::SnapshotHash::of(
        again,
        compactor_core::ports::WallTime(0),
        0.0,
    );
    assert_eq!(text("directory_hash"), again.directory_hash);
}

both!(pointer_and_objects_carry_the_metadata_that_tells_attempts_apart);
fn pointer_and_objects_carry_the_metadata_that_tells_attempts_apart(world: World) {
    world.submit("run-a", &[&Delta::of("lines", "a", 1)]);
    world.submit("run-b", &[&Delta::of("lines", "b", 1)]);
    world.drain();
    let manifest = world.snapshot("lines").unwrap().manifest;
    let (lines, version) = (lineage("lines"), &manifest.version);
    for key in [
        keys::pointer(&lines),
        keys::manifest(&lines, version),
        keys::snapshot_hash(&lines, version),
        keys::file(&lines, version, "chroma.sqlite3"),
    ] {
        let object = world.wait(world.objects().get(&key, u64::MAX)).unwrap();
        let metadata = object.unwrap().metadata;
        let expected = [
            ("delta_merges", "2"),
            ("fence", &manifest.fence.to_string()),
            ("label_updates", "0"),
            ("message_count", "2"),
            ("metadata_updates", "0"),
            ("nonce", &manifest.nonce.to_string()),
            ("section_updates", "0"),
            ("update_type", "batch_compaction"),
        ];
        let found = metadata.iter().map(|(name, value)| (&**name, &**value));
        assert!(found.eq(expected), "{key}: {metadata:?}");
    }
}

both!(versions_of_one_instant_differ_and_grow);
fn versions_of_one_instant_differ_and_grow(world: World) {
    let mut versions = Vec::new();
    for run in ["run-0", "run-1", "run-2", "run-3"] {
        world.submit(run, &[&Delta::of("lines", run, 1)]);
        world.drain();
        versions.push(world.pointer("lines").unwrap());
    }
    let mut sorted = versions.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(versions, sorted);
    assert_eq!(world.uploads("lines"), versions);
}
