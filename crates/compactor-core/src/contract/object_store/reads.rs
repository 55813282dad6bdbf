//! Reads of keys that exist and of keys that do not.

use bytes::Bytes;

use super::{LIMIT, no_metadata, read, write};
use crate::ports::{Attributes, Condition, Fault, ObjectStore};

pub(super) async fn all(store: &dyn ObjectStore) {
    an_absent_key_is_none(store).await;
    a_body_comes_back_with_its_tag(store).await;
    metadata_belongs_to_its_write(store).await;
    a_range_is_cut_at_the_end(store).await;
    the_limit_is_kept(store).await;
    deleting_is_idempotent(store).await;
}

async fn an_absent_key_is_none(store: &dyn ObjectStore) {
    for key in ["reads/absent", "reads/absent/deep/er", "nowhere"] {
        assert_eq!(store.get(key, LIMIT).await.expect("get"), None);
        assert_eq!(store.get_range(key, 0..5).await.expect("range get"), None);
        assert_eq!(store.head(key).await.expect("head"), None);
    }
}

async fn a_body_comes_back_with_its_tag(store: &dyn ObjectStore) {
    for (key, body) in [
        ("reads/body", "content"),
        ("reads/empty", ""),
        ("reads/ü ?#%+", "x"),
    ] {
        let etag = write(store, key, body).await;
        let object = store
            .get(key, LIMIT)
            .await
            .expect("get")
            .expect("it was written");
        assert_eq!(object.body, Bytes::copy_from_slice(body.as_bytes()));
        assert_eq!(object.info.key, key);
        assert_eq!(object.info.size, body.len() as u64);
        assert_eq!(object.info.etag, etag, "get and put name the same tag");
        assert_eq!(object.metadata, no_metadata());
        assert_eq!(store.head(key).await.expect("head"), Some(object.info));
    }
}

async fn metadata_belongs_to_its_write(store: &dyn ObjectStore) {
    let key = "reads/metadata";
    let one: Attributes = [("fence", "7"), ("nonce", "a-b")].map(own).into();
    let two: Attributes = [("fence", "8")].map(own).into();
    for (body, metadata) in [("1", &one), ("2", &two), ("3", &no_metadata())] {
        let bytes = Bytes::from_static(body.as_bytes());
        store
            .put(key, bytes, Condition::Always, metadata)
            .await
            .expect("put");
        let object = store
            .get(key, LIMIT)
            .await
            .expect("get")
            .expect("it was written");
        assert_eq!(
            &object.metadata, metadata,
            "metadata of an older write must not show"
        );
    }
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn a_range_is_cut_at_the_end(store: &dyn ObjectStore) {
    let key = "reads/range";
    write(store, key, "0123456789").await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (2..5, "234"),
        (8..20, "89"),
        (0..u64::MAX, "0123456789"),
        (10..12, ""),
        (50..60, ""),
        (3..3, ""),
    ] {
        let bytes = store
            .get_range(key, range.clone())
            .await
            .expect("range get");
        assert_eq!(
            bytes,
            Some(Bytes::from_static(expected.as_bytes())),
            "{range:?}"
        );
    }
    write(store, "reads/range-empty", "").await;
    let bytes = store
        .get_range("reads/range-empty", 0..4)
        .await
        .expect("range get");
    assert_eq!(bytes, Some(Bytes::new()));
}

async fn the_limit_is_kept(store: &dyn ObjectStore) {
    let key = "reads/limit";
    write(store, key, "0123456789").await;
    assert!(
        store
            .get(key, 10)
            .await
            .expect("exactly at the limit")
            .is_some()
    );
    let error = store
        .get(key, 9)
        .await
        .expect_err("one byte over the limit");
    assert_eq!(error.fault, Fault::TooLarge);
}

async fn deleting_is_idempotent(store: &dyn ObjectStore) {
    let key = "reads/delete/deep";
    store
        .delete(key)
        .await
        .expect("deleting what was never there");
    write(store, key, "x").await;
    store.delete(key).await.expect("deleting");
    assert_eq!(read(store, key).await, None);
    store.delete(key).await.expect("deleting again");
    write(store, key, "y").await;
    assert_eq!(
        read(store, key).await.as_deref(),
        Some("y"),
        "a deleted key may come back"
    );
}
