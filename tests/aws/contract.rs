//! The adapters keep the contracts of the ports.

use compactor_core::contract;
use compactor_testkit::cloud::Cloud;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_object_store_contract() {
    let cloud = Cloud::new(3).await;
    let scratch = tempfile::tempdir().unwrap();
    contract::object_store(cloud.backend().await.objects, scratch.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqs_keeps_the_queue_contract() {
    let cloud = Cloud::new(3).await;
    contract::queue(cloud.backend().await.queue, cloud.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_locks_keep_the_lease_store_contract() {
    let cloud = Cloud::new(3).await;
    contract::lease_store(cloud.backend().await.leases, cloud.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_runs_keep_the_run_store_contract() {
    let cloud = Cloud::new(3).await;
    contract::run_store(cloud.backend().await.runs, cloud.clock).await;
}
