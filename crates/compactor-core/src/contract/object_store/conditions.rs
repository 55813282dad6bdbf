//! Conditional puts and copies: the safety point of the publish protocol.

use bytes::Bytes;

use super::{LIMIT, no_metadata, read, write, written};
use crate::ports::{Attributes, Condition, ETag, ObjectStore, PutOutcome};

pub(super) async fn all(store: &dyn ObjectStore) {
    if_absent_writes_once(store).await;
    if_match_needs_the_current_tag(store).await;
    tags_tell_contents_apart(store).await;
    a_copy_is_the_same_object(store).await;
    a_copy_keeps_its_condition(store).await;
}

async fn put(store: &dyn ObjectStore, key: &str, body: &str, condition: Condition) -> PutOutcome {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    store
        .put(key, bytes, condition, &no_metadata())
        .await
        .expect("a put has a definite answer")
}

async fn if_absent_writes_once(store: &dyn ObjectStore) {
    let key = "conditions/if-absent";
    written(put(store, key, "first", Condition::IfAbsent).await);
    let again = put(store, key, "second", Condition::IfAbsent).await;
    assert_eq!(again, PutOutcome::PreconditionFailed);
    let same = put(store, key, "first", Condition::IfAbsent).await;
    assert_eq!(
        same,
        PutOutcome::PreconditionFailed,
        "the same content makes no difference"
    );
    assert_eq!(read(store, key).await.as_deref(), Some("first"));
    store.delete(key).await.expect("delete");
    written(put(store, key, "third", Condition::IfAbsent).await);
}

async fn if_match_needs_the_current_tag(store: &dyn ObjectStore) {
    let key = "conditions/if-match";
    let nowhere = put(
        store,
        key,
        "x",
        Condition::IfMatch(ETag("\"0123\"".to_owned())),
    )
    .await;
    assert_eq!(nowhere, PutOutcome::Absent);
    assert_eq!(read(store, key).await, None, "a refused put writes nothing");

    let first = write(store, key, "first").await;
    let second = written(put(store, key, "second", Condition::IfMatch(first.clone())).await);
    let stale = put(store, key, "third", Condition::IfMatch(first.clone())).await;
    assert_eq!(stale, PutOutcome::PreconditionFailed);
    assert_eq!(read(store, key).await.as_deref(), Some("second"));
    let object = store
        .get(key, LIMIT)
        .await
        .expect("get")
        .expect("it is there");
    assert_eq!(object.info.etag, second, "a refused put leaves the tag");
    written(put(store, key, "fourth", Condition::IfMatch(second.clone())).await);

    store.delete(key).await.expect("delete");
    let gone = put(store, key, "fifth", Condition::IfMatch(second)).await;
    assert_eq!(gone, PutOutcome::Absent);
}

async fn tags_tell_contents_apart(store: &dyn ObjectStore) {
    let key = "conditions/tags";
    let mut tags = Vec::new();
    // Of one length and in quick succession, so neither size nor a coarse time tells them apart.
    for n in 0..50 {
        tags.push(write(store, key, &format!("{n:04}")).await);
    }
    let distinct: std::collections::HashSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), tags.len(), "another content, another tag");
}

async fn a_copy_is_the_same_object(store: &dyn ObjectStore) {
    let (from, to) = ("conditions/copy/from", "conditions/copy/to/deep");
    let foreign = ETag("\"0123\"".to_owned());
    let copy = async |tag: &ETag| {
        let copied = store.copy(from, tag, to, Condition::Always).await;
        copied.expect("copy")
    };
    assert_eq!(copy(&foreign).await, PutOutcome::Absent);
    let metadata: Attributes = [("nonce".to_owned(), "n".to_owned())].into();
    let body = Bytes::from_static(b"content");
    let put = store
        .put(from, body.clone(), Condition::Always, &metadata)
        .await;
    let tag = written(put.expect("put"));
    assert_eq!(copy(&foreign).await, PutOutcome::Absent, "in another state");
    assert_eq!(read(store, to).await, None);
    let etag = written(copy(&tag).await);
    let copy = store
        .get(to, LIMIT)
        .await
        .expect("get")
        .expect("it was copied");
    assert!(copy.modified.is_some(), "the store dates what it keeps");
    assert_eq!(
        (copy.body, copy.metadata, copy.info.etag),
        (body, metadata, etag)
    );
    assert!(read(store, from).await.is_some(), "the original stays");
}

async fn a_copy_keeps_its_condition(store: &dyn ObjectStore) {
    let (from, to) = ("conditions/copy-if/from", "conditions/copy-if/to");
    let tag = write(store, from, "new").await;
    let copy = async |condition| {
        let copied = store.copy(from, &tag, to, condition).await;
        copied.expect("copy")
    };
    let absent = Condition::IfMatch(ETag("\"0123\"".to_owned()));
    assert_eq!(copy(absent).await, PutOutcome::Absent);
    let first = write(store, to, "old").await;
    let refused = copy(Condition::IfAbsent).await;
    assert_eq!(refused, PutOutcome::PreconditionFailed);
    let second = write(store, to, "older").await;
    let stale = copy(Condition::IfMatch(first)).await;
    assert_eq!(stale, PutOutcome::PreconditionFailed);
    assert_eq!(read(store, to).await.as_deref(), Some("older"));
    written(copy(Condition::IfMatch(second)).await);
    assert_eq!(read(store, to).await.as_deref(), Some("new"));
}
