//! Properties that only a store of plain files has: files at their keys, keys that are folders, leftovers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use compactor_core::fakes::{FakeClock, FakeObjectStore, SeededIds};
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Fault, ObjectStore, PortResult, PutOutcome, WallTime,
};
use compactor_local::DirectoryObjectStore;
use proptest::prelude::*;

fn store(folder: &Path) -> DirectoryObjectStore {
    store_at(folder, FakeClock::auto().wall())
}

fn store_at(folder: &Path, now: WallTime) -> DirectoryObjectStore {
    let clock = FakeClock::auto();
    clock.set_wall(now);
    DirectoryObjectStore::open(folder, None, &clock, Arc::new(SeededIds::new(1))).unwrap()
}

async fn put(store: &dyn ObjectStore, key: &str, body: &str) -> PortResult<PutOutcome> {
    let metadata: Attributes = [("body".to_owned(), body.to_owned())].into();
    store
        .put(
            key,
            Bytes::copy_from_slice(body.as_bytes()),
            Condition::Always,
            &metadata,
        )
        .await
}

async fn fault_of(store: &dyn ObjectStore, key: &str) -> Fault {
    put(store, key, "x").await.unwrap_err().fault
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

#[tokio::test]
async fn object_is_a_plain_file_at_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(
        &store,
        "lines/snapshot/latest-pointer.txt",
        "20261121_000212",
    )
    .await
    .unwrap();
    let path = folder
        .path()
        .join("objects/lines/snapshot/latest-pointer.txt");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "20261121_000212");
    assert_eq!(
        store.path_of("lines/snapshot/latest-pointer.txt").unwrap(),
        path
    );
}

#[tokio::test]
async fn key_that_leads_out_of_the_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("root"));
    for key in [
        "",
        "/etc/passwd",
        "../escape",
        "a/../../escape",
        "a//b",
        "a/",
        "a/./b",
        "a\0b",
    ] {
        assert_eq!(fault_of(&store, key).await, Fault::Invalid, "{key:?}");
        assert_eq!(
            store.get(key, 1).await.unwrap_err().fault,
            Fault::Invalid,
            "{key:?}"
        );
        assert_eq!(
            store.delete(key).await.unwrap_err().fault,
            Fault::Invalid,
            "{key:?}"
        );
    }
    assert!(!folder.path().join("escape").exists());
    assert!(store.list("../", None).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn key_that_is_a_part_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(&store, "a/b", "x").await.unwrap();
    assert_eq!(fault_of(&store, "a/b/c").await, Fault::Invalid);
    assert_eq!(fault_of(&store, "a").await, Fault::Invalid);
    let error = put(&store, "a", "x").await.unwrap_err();
    assert!(error.reason.contains("part of other keys"), "{error}");
    assert_eq!(store.get("a", 9).await.unwrap(), None);
    assert_eq!(store.get("a/b", 9).await.unwrap().unwrap().body, "x");
    store.delete("a/b").await.unwrap();
    put(&store, "a", "now it can").await.unwrap();
}

#[tokio::test]
async fn deleted_object_leaves_no_folders_and_no_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(&store, "a/b/c", "1").await.unwrap();
    put(&store, "a/b/c", "2").await.unwrap();
    put(&store, "a/d", "3").await.unwrap();
    assert_eq!(
        files_below(&folder.path().join(".meta")).len(),
        2,
        "stale ones are removed"
    );
    store.delete("a/b/c").await.unwrap();
    assert!(!folder.path().join("objects/a/b").exists());
    assert!(folder.path().join("objects/a/d").exists());
    store.delete("a/d").await.unwrap();
    for part in ["objects", ".meta", ".tmp"] {
        let left = std::fs::read_dir(folder.path().join(part)).unwrap().count();
        assert_eq!(left, 0, "{part}");
    }
    assert!(store.list("", None).await.unwrap().entries.is_empty());
}

/// The writer is killed after it wrote the metadata and before the body is in place.
#[tokio::test]
async fn write_that_is_killed_half_way_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(&store, "k", "old").await.unwrap();
    let before = store.get("k", 9).await.unwrap().unwrap();
    let orphan = folder.path().join(".meta/k/123-3-456.json");
    std::fs::write(&orphan, r#"{"body":"new"}"#).unwrap();
    let torn = folder.path().join(".meta/k/123-3-457.json");
    std::fs::write(&torn, r#"{"bo"#).unwrap();
    std::fs::write(folder.path().join(".tmp/.tmpAbCdEf"), "new").unwrap();

    let reopened = self::store(folder.path());
    assert_eq!(reopened.get("k", 9).await.unwrap().unwrap(), before);
    assert_eq!(before.metadata["body"], "old");
    put(&reopened, "k", "newer").await.unwrap();
    assert!(
        !orphan.exists() && !torn.exists(),
        "the next write cleans up"
    );
    assert_eq!(
        reopened.get("k", 9).await.unwrap().unwrap().metadata["body"],
        "newer"
    );
}

#[tokio::test]
async fn temporary_file_is_swept_only_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    let temporary = folder.path().join(".tmp/.tmpAbCdEf");
    std::fs::write(&temporary, "half").unwrap();
    let written = std::fs::metadata(&temporary).unwrap().modified().unwrap();
    let written = written
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let hours = |n: u64| WallTime(0).plus(written + std::time::Duration::from_secs(n * 3600));
    store_at(folder.path(), hours(23));
    assert!(temporary.exists(), "a process may still be writing it");
    store_at(folder.path(), hours(25));
    assert!(!temporary.exists());
}

#[tokio::test]
async fn object_tag_does_not_repeat_for_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut tags = std::collections::HashSet::new();
    for n in 0..200 {
        let PutOutcome::Written(ETag(tag)) = put(&store, "k", "same").await.unwrap() else {
            panic!("not written");
        };
        assert!(tags.insert(tag), "write {n}");
        if n % 3 == 0 {
            store.delete("k").await.unwrap();
        }
    }
}

#[tokio::test]
async fn store_without_its_folder_is_missing_and_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    std::fs::remove_dir(folder.path().join("objects")).unwrap();
    assert_eq!(store.get("k", 9).await.unwrap_err().fault, Fault::Missing);
    assert_eq!(
        store.list("", None).await.unwrap_err().fault,
        Fault::Missing
    );
    assert_eq!(store.delete("k").await.unwrap_err().fault, Fault::Missing);
    assert_eq!(fault_of(&store, "a/b").await, Fault::Missing);
    assert!(
        !folder.path().join("objects").exists(),
        "it is not made again in passing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any keys, prefix and start.
    #[test]
    fn listing_equals_that_of_a_flat_store(
        keys in proptest::collection::btree_set("[ab](/[a0.-]{1,2}){0,3}[ab]", 1..12),
        prefix in "[ab]{0,1}(/[a0.-]{0,2}){0,2}",
        after in proptest::option::of("[ab](/[a0.-]{1,2}){0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (local, flat) = (store(folder.path()), FakeObjectStore::new(Arc::new(FakeClock::auto())));
        runtime.block_on(async {
            for key in &keys {
                // Keys that a tree cannot hold are not in the other store either.
                if put(&local, key, "x").await.is_ok() {
                    put(&flat, key, "x").await.unwrap();
                }
            }
            let names = async |store: &dyn ObjectStore| -> Vec<String> {
                let page = store.list(&prefix, after.as_deref()).await.unwrap();
                page.entries.into_iter().map(|info| info.key).collect()
            };
            assert_eq!(names(&local).await, names(&flat).await, "{prefix:?} after {after:?}");
            if prefix.is_empty() || prefix.ends_with('/') {
                let found = local.list_folders(&prefix, after.as_deref()).await.unwrap();
                let expected = flat.list_folders(&prefix, after.as_deref()).await.unwrap();
                assert_eq!(found, expected);
            }
        });
    }
}
