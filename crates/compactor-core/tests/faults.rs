//! The fakes fail where a test injects a fault, before or after the call takes effect.

use std::sync::Arc;

use bytes::Bytes;
use compactor_core::fakes::{FakeClock, FakeObjectStore, Inject};
use compactor_core::ports::{Attributes, Condition, Fault, ObjectStore, PortResult, PutOutcome};

async fn put(store: &FakeObjectStore, body: &'static str) -> PortResult<PutOutcome> {
    store
        .put(
            "k",
            Bytes::from_static(body.as_bytes()),
            Condition::IfAbsent,
            &Attributes::new(),
        )
        .await
}

#[tokio::test]
async fn call_that_fails_before_it_takes_effect_has_none() {
    let store = FakeObjectStore::new(Arc::new(FakeClock::auto()));
    store
        .faults
        .next("put", Inject::FailBefore(Fault::Throttled));
    assert_eq!(put(&store, "x").await.unwrap_err().fault, Fault::Throttled);
    assert_eq!(store.body("k"), None);
    assert!(
        matches!(put(&store, "x").await, Ok(PutOutcome::Written(_))),
        "only once"
    );
}

#[tokio::test]
async fn call_that_fails_after_it_takes_effect_keeps_it() {
    let store = FakeObjectStore::new(Arc::new(FakeClock::auto()));
    store
        .faults
        .next("put", Inject::FailAfter(Fault::OutcomeUnknown));
    assert_eq!(
        put(&store, "x").await.unwrap_err().fault,
        Fault::OutcomeUnknown
    );
    assert_eq!(store.body("k").unwrap(), "x");
    assert_eq!(
        put(&store, "x").await.unwrap(),
        PutOutcome::PreconditionFailed
    );
}

#[tokio::test]
async fn fault_rule_sees_every_call_and_the_fake_records_it() {
    let store = FakeObjectStore::new(Arc::new(FakeClock::auto()));
    let mut left = 2;
    store.faults.when(move |call| {
        let hit = call.operation == "put" && call.target == "k" && left > 0;
        left -= u32::from(hit);
        hit.then_some(Inject::Conflict)
    });
    assert_eq!(put(&store, "x").await.unwrap(), PutOutcome::Conflict);
    assert_eq!(put(&store, "x").await.unwrap(), PutOutcome::Conflict);
    assert!(matches!(put(&store, "x").await, Ok(PutOutcome::Written(_))));
    assert_eq!(store.faults.count("put"), 3);
    assert_eq!(store.faults.calls().len(), 3);
}
