//! The contract of object stores: whole reads, and conditional writes of which one wins.

mod conditions;
mod listing;
mod races;
mod reads;
mod transfer;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::ports::{Attributes, Condition, ETag, ObjectStore, PutOutcome};

/// Checks an empty object store. `scratch` must be an existing, empty folder; the suite puts local files
/// into it.
pub async fn object_store(store: Arc<dyn ObjectStore>, scratch: &Path) {
    reads::all(&*store).await;
    conditions::all(&*store).await;
    transfer::all(&*store, scratch).await;
    listing::all(&store).await;
    races::all(&store).await;
}

const LIMIT: u64 = 1 << 20;

fn no_metadata() -> Attributes {
    Attributes::new()
}

async fn write(store: &dyn ObjectStore, key: &str, body: &str) -> ETag {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let outcome = store
        .put(key, body, Condition::Always, &no_metadata())
        .await;
    written(outcome.expect("an unconditional put succeeds"))
}

async fn read(store: &dyn ObjectStore, key: &str) -> Option<String> {
    let object = store.get(key, LIMIT).await.expect("a get succeeds")?;
    Some(String::from_utf8(object.body.to_vec()).expect("the suite writes text"))
}

#[expect(clippy::panic, reason = "a suite reports by panicking")]
fn written(outcome: PutOutcome) -> ETag {
    match outcome {
        PutOutcome::Written(etag) => etag,
        other => panic!("expected to be written, got {other:?}"),
    }
}
