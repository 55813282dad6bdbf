//! A published snapshot that is damaged is never built upon: nothing is published, the pointer
//! stays, and once the damage is repaired the same message succeeds.

use compactor_core::{Manifest, RunState, keys};
use compactor_snapshots::Step;
use tokio_util::sync::CancellationToken;

use crate::deltas::{Delta, content_of};
use crate::hooks::Script;
use crate::world::{World, lineage};

struct Damage {
    name: &'static str,
    code: &'static str,
    /// The object that is damaged.
    key: fn(&Manifest) -> String,
    /// What its body becomes; `None` deletes the object.
    becomes: fn(Vec<u8>) -> Option<Vec<u8>>,
}

macro_rules! damage {
    ($name:literal, $code:literal, $key:expr, $becomes:expr) => {
        Damage {
            name: $name,
            code: $code,
            key: $key,
            becomes: $becomes,
        }
    };
}

fn database(manifest: &Manifest) -> String {
    keys::file(&manifest.lineage(), &manifest.version, "chroma.sqlite3")
}

fn manifest(manifest: &Manifest) -> String {
    keys::manifest(&manifest.lineage(), &manifest.version)
}

fn pointer(manifest: &Manifest) -> String {
    keys::pointer(&manifest.lineage())
}

fn replaced(body: Vec<u8>, from: &str, to: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(from), "{text}");
    Some(text.replace(from, to).into_bytes())
}

const DAMAGES: [Damage; 12] = [
    damage!("a flipped bit", "CC-SNAPSHOT-FILE", database, |mut body| {
        let middle = body.len() / 2;
        body[middle] ^= 1;
        Some(body)
    }),
    damage!("a file that is gone", "CC-SNAPSHOT-FILE", database, |_| {
        None
    }),
    damage!(
        "a file cut short",
        "CC-SNAPSHOT-FILE",
        database,
        |mut body| {
            body.pop();
            Some(body)
        }
    ),
    damage!("an empty file", "CC-SNAPSHOT-FILE", database, |_| Some(
        Vec::new()
    )),
    damage!(
        "a manifest that is gone",
        "CC-MANIFEST-MISSING",
        manifest,
        |_| None
    ),
    damage!("a manifest of junk", "CC-MANIFEST", manifest, |_| Some(
        b"{}".to_vec()
    )),
    damage!(
        "a manifest of the future",
        "CC-MANIFEST",
        manifest,
        |body| replaced(body, "\"format_version\": 1", "\"format_version\": 2")
    ),
    damage!(
        "a manifest of another collection",
        "CC-MANIFEST",
        manifest,
        |body| replaced(
            body,
            "\"collection\": \"lines\"",
            "\"collection\": \"words\""
        )
    ),
    damage!(
        "a manifest with another digest",
        "CC-SNAPSHOT-FILE",
        manifest,
        |body| replaced(body, "\"sha256\": \"", "\"sha256\": \"0123456789abcdef")
            .map(|body| shorten_digests(&body))
    ),
    damage!("a pointer of junk", "CC-POINTER", pointer, |_| Some(
        b"latest".to_vec()
    )),
    damage!(
        "a pointer that is no text",
        "CC-POINTER",
        pointer,
        |_| Some(vec![0xff, 0xfe, 0])
    ),
    damage!(
        "a pointer to a version that is not there",
        "CC-MANIFEST-MISSING",
        pointer,
        |_| Some(b"20991231_235959_000000_00000000".to_vec())
    ),
];

/// Cuts digests that were made longer back to 64 digits.
fn shorten_digests(manifest: &[u8]) -> Vec<u8> {
    let mut manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    for file in manifest["files"].as_array_mut().unwrap() {
        let digest = file["sha256"].as_str().unwrap()[..64].to_owned();
        file["sha256"] = digest.into();
    }
    serde_json::to_vec(&manifest).unwrap()
}

/// Runs a daemon for one cycle.
fn one_cycle(world: &World) {
    let stop = CancellationToken::new();
    let hooks = Script::stop_at(Step::Released, &stop);
    world.run_until(&stop, hooks).unwrap();
}

fn damage_and_repair(world: &World, damage: &Damage) {
    let (base, next) = (Delta::of("lines", "base", 3), Delta::of("lines", "next", 2));
    world.expects(&[damage.code]);
    world.submit("run-base", &[&base]);
    world.drain();
    let published = world.snapshot("lines").unwrap().manifest;
    let key = (damage.key)(&published);
    let sound = world.body(&key).unwrap();
    match (damage.becomes)(sound.clone()) {
        Some(body) => world.put(&key, body),
        None => world.delete(&key),
    }
    let before = world.image("lines/snapshot/");
    world.submit("run-next", &[&next]);
    one_cycle(world);
    assert_eq!(world.image("lines/snapshot/"), before, "{}", damage.name);
    assert_eq!(world.state("run-next", "lines"), RunState::Pending);
    assert_eq!(
        world.code("run-next", "lines"),
        damage.code,
        "{}",
        damage.name
    );
    assert!(!world.queue_is_empty() && world.depth().dead == 0);
    assert!(world.lease_is_free("lines"));

    world.put(&key, sound);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (1, 1));
    assert_eq!(world.content("lines"), content_of([&base, &next]));
    let part = world.part("run-next", "lines");
    assert_eq!((part.state, part.error), (RunState::Completed, None));
}

both!(damaged_base_is_not_built_upon_until_repaired, in real time);
fn damaged_base_is_not_built_upon_until_repaired(world: World) {
    let kind = world.kind;
    for damage in &DAMAGES {
        damage_and_repair(&World::new(kind), damage);
    }
}

both!(base_file_that_has_grown_counts_as_damaged, in real time);
fn base_file_that_has_grown_counts_as_damaged(world: World) {
    let grown = damage!(
        "a file that has grown",
        "CC-SNAPSHOT-FILE",
        database,
        |mut body| {
            body.push(0);
            Some(body)
        }
    );
    damage_and_repair(&world, &grown);
}

both!(pointer_that_has_grown_counts_as_damaged, in real time);
fn pointer_that_has_grown_counts_as_damaged(world: World) {
    let grown = damage!(
        "a pointer that has grown",
        "CC-POINTER",
        pointer,
        |mut body| {
            body.resize(1 << 20, b' ');
            Some(body)
        }
    );
    damage_and_repair(&world, &grown);
}

both!(pointer_with_trailing_line_feed_is_accepted);
fn pointer_with_trailing_line_feed_is_accepted(world: World) {
    let (base, next) = (Delta::of("lines", "base", 3), Delta::of("lines", "next", 2));
    world.submit("run-base", &[&base]);
    world.drain();
    let body = format!("{}\n", world.pointer("lines").unwrap());
    world.put(&keys::pointer(&lineage("lines")), body);
    world.submit("run-next", &[&next]);
    world.drain();
    assert_eq!(world.content("lines"), content_of([&base, &next]));
}
