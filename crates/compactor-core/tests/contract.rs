//! The fakes keep the contracts of the ports that they replace.

use std::sync::Arc;

use compactor_core::contract;
use compactor_core::fakes::{
    FakeClock, FakeLeaseStore, FakeObjectStore, FakeQueue, FakeRunStore, SeededIds,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fake_object_store_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    contract::object_store(
        Arc::new(FakeObjectStore::new(Arc::new(FakeClock::auto()))),
        scratch.path(),
    )
    .await;
}

fn queue(clock: &Arc<FakeClock>) -> Arc<FakeQueue> {
    Arc::new(FakeQueue::new(
        clock.clone(),
        Arc::new(SeededIds::new(1)),
        3,
    ))
}

#[tokio::test]
async fn fake_queue_keeps_the_contract() {
    let clock = Arc::new(FakeClock::auto());
    contract::queue(queue(&clock), clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fake_queue_keeps_the_strict_contract() {
    let clock = Arc::new(FakeClock::auto());
    contract::strict_queue(queue(&clock), clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fake_lease_store_keeps_the_contract() {
    let clock = Arc::new(FakeClock::auto());
    contract::lease_store(Arc::new(FakeLeaseStore::new(clock.clone())), clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fake_run_store_keeps_the_contract() {
    contract::run_store(Arc::new(FakeRunStore::new()), Arc::new(FakeClock::auto())).await;
}
