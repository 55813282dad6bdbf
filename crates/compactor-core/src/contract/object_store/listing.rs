//! Listings: by plain prefix, in byte order, in pages.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::write;
use crate::ports::{ObjectInfo, ObjectStore};

/// More keys than any backend puts on one page.
const MANY: usize = 1_005;

pub(super) async fn all(store: &Arc<dyn ObjectStore>) {
    a_prefix_is_a_string_not_a_folder(&**store).await;
    keys_come_in_byte_order(&**store).await;
    folders_are_the_next_segments(&**store).await;
    long_listings_come_in_pages(store).await;
}

async fn keys(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let listed = store.list_all(prefix).await.expect("list");
    listed.into_iter().map(|info| info.key).collect()
}

async fn folders(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    store.list_all_folders(prefix).await.expect("list folders")
}

async fn a_prefix_is_a_string_not_a_folder(store: &dyn ObjectStore) {
    let in_abc = "listing/delta/abc/chroma.sqlite3";
    let in_abcd = "listing/delta/abcd/chroma.sqlite3";
    let etag = write(store, in_abc, "12345").await;
    write(store, in_abcd, "x").await;
    assert_eq!(keys(store, "listing/delta/abc").await, [in_abc, in_abcd]);
    assert_eq!(keys(store, "listing/delta/abc/").await, [in_abc]);
    assert_eq!(keys(store, "listing/delta/abc/chroma").await, [in_abc]);
    assert_eq!(keys(store, in_abcd).await, [in_abcd]);
    for nothing in [
        "listing/delta/abc//",
        "listing/delta/abcde",
        "listing/delta/b",
        "nowhere/",
    ] {
        assert!(keys(store, nothing).await.is_empty(), "{nothing}");
    }
    let page = store.list("listing/delta/abc/", None).await.expect("list");
    let info = ObjectInfo {
        key: in_abc.to_owned(),
        size: 5,
        etag,
    };
    assert_eq!((page.entries, page.next), (vec![info], None));
    store.delete(in_abc).await.expect("delete");
    assert_eq!(
        keys(store, "listing/delta/").await,
        [in_abcd],
        "a deleted key is not listed"
    );
}

async fn keys_come_in_byte_order(store: &dyn ObjectStore) {
    // '-' and '.' sort before '/', '0' after it, capitals before small letters.
    let sorted = [
        "listing/order/B",
        "listing/order/a-b",
        "listing/order/a-b.x/1",
        "listing/order/a.b",
        "listing/order/a/x",
        "listing/order/a/x-",
        "listing/order/a/y/z",
        "listing/order/a0",
        "listing/order/é",
    ];
    for key in sorted.iter().rev() {
        write(store, key, "x").await;
    }
    assert_eq!(keys(store, "listing/order/").await, sorted);
    for (at, key) in sorted.iter().enumerate() {
        let page = store.list("listing/order/", Some(key)).await.expect("list");
        let rest: Vec<_> = page.entries.iter().map(|info| info.key.as_str()).collect();
        assert_eq!(rest, sorted[at + 1..], "after {key}");
    }
}

async fn folders_are_the_next_segments(store: &dyn ObjectStore) {
    for key in [
        "v2/manifest.json",
        "v1/a/b",
        "v1/c",
        "v10/x",
        "file",
        "v1-x/y",
    ] {
        write(store, &format!("listing/folders/{key}"), "x").await;
    }
    let mut found = folders(store, "listing/folders/").await;
    found.sort();
    assert_eq!(found, ["v1", "v1-x", "v10", "v2"]);
    assert_eq!(folders(store, "listing/folders/v1/").await, ["a"]);
    assert!(folders(store, "listing/folders/v9/").await.is_empty());
}

async fn long_listings_come_in_pages(store: &Arc<dyn ObjectStore>) {
    let expected: Vec<_> = (0..MANY)
        .map(|n| format!("listing/pages/{n:05}/x"))
        .collect();
    for batch in expected.chunks(64) {
        let mut writes = JoinSet::new();
        for key in batch {
            let (store, key) = (store.clone(), key.clone());
            writes.spawn(async move { write(&*store, &key, "x").await });
        }
        writes.join_all().await;
    }
    let first = store.list("listing/pages/", None).await.expect("list");
    assert!(
        first.next.is_some() && first.entries.len() < MANY,
        "it does not fit on one page"
    );
    assert_eq!(keys(&**store, "listing/pages/").await, expected);
    let segments: Vec<_> = (0..MANY).map(|n| format!("{n:05}")).collect();
    assert_eq!(folders(&**store, "listing/pages/").await, segments);
}
