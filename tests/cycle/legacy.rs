//! Snapshots of the Python compactor as a base, and ours in the layout that it reads.

use chroma_store::{ClosedStore, pack};
use compactor_core::manifest::Layout;
use compactor_core::ports::WallTime;
use compactor_core::snapshot_hash::{HashedFile, SnapshotHash};
use compactor_core::{RunState, Version, keys};
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{World, lineage};
use compactor_snapshots::Step;

/// The forms that the Python compactor has had.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// `snapshot.tar.gz` and its MD5.
    Archive,
    /// One object per file, and a JSON hash of all of them.
    HashedFiles,
    /// One object per file, and a hash that cannot be computed again.
    Files,
}

const FORMS: [Form; 3] = [Form::Archive, Form::HashedFiles, Form::Files];
const OLD: [&str; 2] = ["20251115_171818", "20251121_000212_517191_74bfc63c"];

fn packed(store: &ClosedStore) -> Vec<u8> {
    pack(store, &[], Vec::new()).unwrap()
}

fn hash(store: &ClosedStore) -> String {
    let files = store.files().unwrap().into_iter();
    let hashed = files.map(|file| HashedFile {
        path: file.path,
        md5: file.md5,
        size: file.size,
    });
    SnapshotHash::of(hashed, WallTime(0), 0.5).to_json()
}

/// Publishes `store` as the Python compactor did: no manifest, a plain pointer.
pub(crate) fn publish(world: &World, store: &ClosedStore, form: Form, version: &str) {
    let version: Version = version.parse().unwrap();
    let lines = lineage("lines");
    let hash = match form {
        Form::Archive => {
            let archive = packed(store);
            let digest = md5_of(&archive);
            world.put(&keys::snapshot_archive(&lines, &version), archive);
            format!("md5:{digest}")
        }
        Form::HashedFiles => hash(store),
        Form::Files => "md5:0123456789abcdef0123456789abcdef".to_owned(),
    };
    if !matches!(form, Form::Archive) {
        for file in store.files().unwrap() {
            let body = std::fs::read(store.dir().join(&file.path)).unwrap();
            world.put(&keys::file(&lines, &version, &file.path), body);
        }
    }
    world.put(&keys::snapshot_hash(&lines, &version), hash);
    world.put(&keys::pointer(&lines), version.to_string());
}

fn md5_of(bytes: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(bytes))
}

both!(snapshot_of_python_compactor_is_built_upon);
fn snapshot_of_python_compactor_is_built_upon(world: World) {
    let kind = world.kind;
    for form in FORMS {
        for old in OLD {
            let world = World::new(kind);
            let (base, next) = (Delta::of("lines", "base", 5), Delta::of("lines", "next", 2));
            let store = base.write(&world, &world.folder("base"));
            publish(&world, &store, form, old);
            world.submit("run-next", &[&next]);
            let summary = world.drain();
            assert_eq!(
                (summary.completed, summary.published),
                (1, 1),
                "{form:?} {old}"
            );
            let snapshot = world.snapshot("lines").unwrap();
            assert_eq!(
                snapshot.content,
                content_of([&base, &next]),
                "{form:?} {old}"
            );
            let parent = snapshot.manifest.parent.unwrap();
            assert_eq!(parent.version.as_str(), old);
            assert!(snapshot.manifest.version > parent.version);
            assert_eq!(snapshot.manifest.applied_runs.len(), 1);
        }
    }
}

/// One cycle, after which the daemon stops.
fn one_cycle(world: &World) {
    let stop = CancellationToken::new();
    let hooks = Script::stop_at(Step::Released, &stop);
    world.run_until(&stop, hooks).unwrap();
}

fn refused(world: &World, damage: &str, code: &'static str) {
    world.expects(&[code]);
    let next = Delta::of("lines", "next", 2);
    let before = world.image("lines/snapshot/");
    world.submit("run-next", &[&next]);
    one_cycle(world);
    assert_eq!(world.image("lines/snapshot/"), before, "{damage}");
    assert_eq!(
        world.state("run-next", "lines"),
        RunState::Pending,
        "{damage}"
    );
    assert_eq!(world.code("run-next", "lines"), code, "{damage}");
}

both!(damaged_python_snapshot_is_refused_and_pointer_stays);
fn damaged_python_snapshot_is_refused_and_pointer_stays(world: World) {
    let kind = world.kind;
    let lines = lineage("lines");
    let version: Version = OLD[1].parse().unwrap();
    let fresh = |form| {
        let world = World::new(kind);
        let store = Delta::of("lines", "base", 5).write(&world, &world.folder("base"));
        publish(&world, &store, form, OLD[1]);
        world
    };
    let archive = keys::snapshot_archive(&lines, &version);

    let world = fresh(Form::Archive);
    let mut body = world.body(&archive).unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    world.put(&archive, body);
    refused(&world, "a flipped bit", "CC-SNAPSHOT-FILE");

    let world = fresh(Form::Archive);
    let mut body = world.body(&archive).unwrap();
    body.truncate(body.len() / 2);
    world.put(&archive, body);
    refused(&world, "an archive cut short", "CC-SNAPSHOT-FILE");

    let world = fresh(Form::HashedFiles);
    let database = keys::file(&lines, &version, "chroma.sqlite3");
    let mut body = world.body(&database).unwrap();
    let last = body.len() - 1;
    body[last] ^= 1;
    world.put(&database, body);
    refused(&world, "another byte", "CC-SNAPSHOT-FILE");

    let world = fresh(Form::Archive);
    world.put(&keys::pointer(&lines), "20991231_235959");
    refused(&world, "a version that is not there", "CC-MANIFEST-MISSING");
}

both!(python_snapshot_over_limit_is_too_large);
fn python_snapshot_over_limit_is_too_large(world: World) {
    let kind = world.kind;
    for (packed, form) in [true, false]
        .into_iter()
        .flat_map(|packed| FORMS.map(|form| (packed, form)))
    {
        let world = World::new(kind);
        let store = Delta::of("lines", "base", 5).write(&world, &world.folder("base"));
        publish(&world, &store, form, OLD[1]);
        let size = match packed {
            true => packed_size(&store),
            false => store.size().unwrap(),
        };
        let world = world.with(|settings| settings.limits.snapshot_bytes = size - 1);
        refused(&world, &format!("{form:?} of {size}"), "CC-TOO-LARGE");
        let error = world.part("run-next", "lines").error.unwrap();
        assert!(error.contains("limits.snapshot"), "{error}");
        assert!(error.contains(&(size - 1).to_string()), "{error}");
    }
}

fn packed_size(store: &ClosedStore) -> u64 {
    packed(store).len() as u64
}

both!(snapshots_can_be_published_as_archives);
fn snapshots_can_be_published_as_archives(world: World) {
    let (a, b, c) = (
        Delta::of("lines", "a", 5),
        Delta::of("lines", "b", 2),
        Delta::of("lines", "c", 3),
    );
    let world = world.with(|settings| settings.layout = Layout::Archive);
    for (run, delta) in [("run-a", &a), ("run-b", &b)] {
        world.submit(run, &[delta]);
        assert_eq!(world.drain().published, 1);
        let version = world.snapshot("lines").unwrap().manifest.version;
        let prefix = keys::version_prefix(&lineage("lines"), &version);
        let mut names: Vec<String> = world.keys(&prefix);
        names.sort();
        let expected = [".snapshot_hash", "manifest.json", "snapshot.tar.gz"];
        assert_eq!(names, expected.map(|name| format!("{prefix}{name}")));
        let archive = world.body(&format!("{prefix}snapshot.tar.gz")).unwrap();
        let hash = world.body(&format!("{prefix}.snapshot_hash")).unwrap();
        assert_eq!(
            String::from_utf8(hash).unwrap(),
            format!("md5:{}", md5_of(&archive))
        );
    }
    assert_eq!(world.content("lines"), content_of([&a, &b]));
    let world = world.with(|settings| settings.layout = Layout::Files);
    world.submit("run-c", &[&c]);
    assert_eq!(world.drain().published, 1);
    assert_eq!(world.content("lines"), content_of([&a, &b, &c]));
}
