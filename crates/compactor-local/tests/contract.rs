//! The local adapters keep the contracts of the ports, on a clock that tests move.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use compactor_core::contract;
use compactor_core::fakes::{FakeClock, SeededIds};
use compactor_core::ports::{Attributes, Clock, Ids, LeaseStore, Queue};
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};
use tempfile::TempDir;

struct Local {
    backend: LocalBackend,
    clock: Arc<dyn Clock>,
    folder: TempDir,
}

fn local_on(clock: Arc<dyn Clock>) -> Local {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions { max_receives: 3 };
    let ids = Arc::new(SeededIds::new(1));
    let backend = LocalBackend::open(folder.path(), clock.clone(), ids, options).unwrap();
    Local {
        backend,
        clock,
        folder,
    }
}

fn local() -> Local {
    local_on(Arc::new(FakeClock::auto()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_directory_object_store_keeps_the_contract() {
    let local = local();
    let scratch = tempfile::tempdir().unwrap();
    contract::object_store(local.backend.objects.clone(), scratch.path()).await;
    let left: Vec<_> = std::fs::read_dir(local.folder.path().join(".tmp"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}

#[tokio::test]
async fn the_queue_keeps_the_contract() {
    let local = local();
    contract::queue(local.backend.queue.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_keeps_the_strict_contract() {
    let local = local();
    contract::strict_queue(local.backend.queue.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_lease_store_keeps_the_contract() {
    let local = local();
    contract::lease_store(local.backend.leases.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_run_store_keeps_the_contract() {
    let local = local();
    contract::run_store(local.backend.runs.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_expire_on_the_real_clock_too() {
    let local = local_on(Arc::new(SystemClock::new()));
    contract::lease_store(local.backend.leases.clone(), local.clock).await;
}

#[tokio::test]
async fn dead_letters_tell_why() {
    let local = local();
    let queue = &local.backend.queue;
    let attributes: Attributes = [("collection".to_owned(), "lines".to_owned())].into();
    let (now, long) = (
        std::time::Duration::ZERO,
        std::time::Duration::from_secs(60),
    );
    let refused = queue.send("refused", &attributes).await.unwrap();
    let delivery = queue.receive(1, now, long).await.unwrap().remove(0);
    queue
        .dead_letter(&delivery, "CC-MESSAGE-JSON: the body is not JSON")
        .await
        .unwrap();
    queue.send("worn out", &attributes).await.unwrap();
    for _ in 0..3 {
        let delivery = queue.receive(1, now, long).await.unwrap().remove(0);
        queue.release(&delivery.receipt, now).await.unwrap();
    }
    assert!(queue.receive(1, now, long).await.unwrap().is_empty());

    let dead = queue.dead_letters(10).await.unwrap();
    let told: Vec<_> = dead
        .iter()
        .map(|d| (d.body.as_str(), d.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("worn out", "received 3 times"),
            ("refused", "CC-MESSAGE-JSON: the body is not JSON"),
        ]
    );
    assert_eq!(
        (&dead[1].message_id, &dead[1].attributes),
        (&refused, &attributes)
    );
    assert_eq!((dead[1].receive_count, dead[0].receive_count), (1, 3));
    assert_eq!(queue.dead_letters(1).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reopened_backend_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let clock = Arc::new(SystemClock::new());
        let ids = Arc::new(RandomIds);
        LocalBackend::open(folder.path(), clock, ids, LocalOptions::default()).unwrap()
    };
    open().queue.send("kept", &Attributes::new()).await.unwrap();
    let again = open();
    let wait = std::time::Duration::from_secs(1);
    let deliveries = again.queue.receive(1, wait, wait).await.unwrap();
    assert_eq!(deliveries[0].body, "kept");
}

/// A queue and locks on a clock that is `ahead`, with a message in hand, one sent, and a lock; then
/// the clock is right. How many messages are there to be received, and who holds the lock.
async fn after_set_back(ahead: Duration) -> (usize, Option<String>) {
    let clock = Arc::new(FakeClock::manual());
    let local = local_on(clock.clone());
    let (queue, leases) = (&local.backend.queue, &local.backend.leases);
    let collection = "words".parse().unwrap();
    let right = clock.wall();
    clock.set_wall(right.plus(ahead));
    let hour = Duration::from_secs(3600);
    queue.send("in hand", &Attributes::new()).await.unwrap();
    let held = queue.receive(1, Duration::ZERO, hour).await.unwrap();
    assert_eq!(held.len(), 1);
    queue.send("sent", &Attributes::new()).await.unwrap();
    let owner = SeededIds::new(2).uuid();
    leases.acquire(&collection, owner, hour).await.unwrap();
    clock.set_wall(right);
    let visible = queue.depth().await.unwrap().visible;
    let received = queue.receive(10, Duration::ZERO, hour).await.unwrap();
    assert_eq!(received.len() as u64, visible);
    (received.len(), leases.holder(&collection).await.unwrap())
}

#[tokio::test]
async fn what_a_clock_ahead_hid_is_free_when_it_is_set_back() {
    for hours in [1, 24 * 400] {
        let ahead = Duration::from_secs(hours * 3600);
        assert_eq!(after_set_back(ahead).await, (2, None));
    }
    // A clock that is kept right takes nothing from anybody.
    let (received, holder) = after_set_back(Duration::from_secs(10)).await;
    assert!(received == 0 && holder.is_some(), "{received} {holder:?}");
}
