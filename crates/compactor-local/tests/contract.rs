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
use compactor_core::ports::{Acquired, Attributes, Clock, Held, Ids, LeaseStore, Queue};
use compactor_local::{LocalBackend, LocalOptions, RandomIds, SystemClock};
use tempfile::TempDir;

struct Local {
    backend: LocalBackend,
    clock: Arc<dyn Clock>,
    folder: TempDir,
}

fn local_on(clock: Arc<dyn Clock>) -> Local {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        max_receives: 3,
        ..LocalOptions::default()
    };
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
async fn directory_object_store_keeps_the_contract() {
    let local = local();
    let scratch = tempfile::tempdir().unwrap();
    contract::object_store(local.backend.objects.clone(), scratch.path()).await;
    let left: Vec<_> = std::fs::read_dir(local.folder.path().join(".tmp"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}

#[tokio::test]
async fn queue_keeps_the_contract() {
    let local = local();
    contract::queue(local.backend.queue.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queue_keeps_the_strict_contract() {
    let local = local();
    contract::strict_queue(local.backend.queue.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lease_store_keeps_the_contract() {
    let local = local();
    contract::lease_store(local.backend.leases.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn run_store_keeps_the_contract() {
    let local = local();
    contract::run_store(local.backend.runs.clone(), local.clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lease_store_keeps_the_contract_on_the_real_clock() {
    let local = local_on(Arc::new(SystemClock::new()));
    contract::lease_store(local.backend.leases.clone(), local.clock).await;
}

#[tokio::test]
async fn dead_letter_has_the_reason() {
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
    let reasons: Vec<_> = dead
        .iter()
        .map(|d| (d.body.as_str(), d.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
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
async fn reopened_backend_has_the_messages() {
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

const HOUR: Duration = Duration::from_secs(3600);
/// A clock that is set back by less than a minute counts as right.
const LITTLE: Duration = Duration::from_secs(59);
const MUCH: [Duration; 2] = [
    Duration::from_secs(61),
    Duration::from_secs(400 * 24 * 3600),
];

/// The call that hid a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    Sent,
    Received,
    Extended,
    Released,
}

/// Hides a message with no receive left while the clock is `ahead`, and then sets the clock right. Returns
/// how many messages can be received.
async fn receivable(hidden: Hidden, ahead: Duration) -> usize {
    let clock = Arc::new(FakeClock::manual());
    let local = local_on(clock.clone());
    let queue = &local.backend.queue;
    let right = clock.wall();
    let set_ahead_if = |now: Hidden| {
        if hidden == now {
            clock.set_wall(right.plus(ahead));
        }
    };
    set_ahead_if(Hidden::Sent);
    queue.send("body", &Attributes::new()).await.unwrap();
    set_ahead_if(Hidden::Received);
    if hidden != Hidden::Sent {
        let receive = async || {
            queue
                .receive(1, Duration::ZERO, HOUR)
                .await
                .unwrap()
                .remove(0)
        };
        let mut receipt = receive().await.receipt;
        for _ in 1..queue.max_receives() {
            queue.release(&receipt, Duration::ZERO).await.unwrap();
            receipt = receive().await.receipt;
        }
        clock.set_wall(right.plus(ahead));
        match hidden {
            Hidden::Extended => queue.extend(&receipt, HOUR).await.unwrap(),
            Hidden::Released => queue.release(&receipt, HOUR).await.unwrap(),
            _ => Held::Yes,
        };
    }
    clock.set_wall(right);
    let visible = queue.depth().await.unwrap().visible;
    let received = queue.receive(10, Duration::ZERO, HOUR).await.unwrap();
    assert_eq!(received.len() as u64, visible, "{hidden:?}");
    // The message may be in flight.
    assert_eq!(queue.depth().await.unwrap().dead, 0, "{hidden:?}");
    received.len()
}

#[tokio::test]
async fn message_hidden_by_a_clock_ahead_is_receivable_once_the_clock_is_set_back() {
    use Hidden::{Extended, Received, Released, Sent};
    for hidden in [Sent, Received, Extended, Released] {
        for ahead in MUCH {
            assert_eq!(receivable(hidden, ahead).await, 1, "{hidden:?} {ahead:?}");
        }
        assert_eq!(receivable(hidden, LITTLE).await, 0, "{hidden:?}");
    }
}

/// Takes a lock while the clock is `ahead`, sets the clock right, and then renews the lock or not. Returns
/// whether another owner gets it.
async fn is_free(ahead: Duration, renewed: bool) -> bool {
    let clock = Arc::new(FakeClock::manual());
    let local = local_on(clock.clone());
    let leases = &local.backend.leases;
    let (collection, ids) = ("words".parse().unwrap(), SeededIds::new(2));
    let (right, its, ours) = (clock.wall(), ids.uuid(), ids.uuid());
    clock.set_wall(right.plus(ahead));
    leases.acquire(&collection, its, HOUR).await.unwrap();
    clock.set_wall(right);
    if renewed {
        assert!(leases.renew(&collection, its, HOUR).await.unwrap());
    }
    let holder = leases.holder(&collection).await.unwrap();
    let acquired = leases.acquire(&collection, ours, HOUR).await.unwrap();
    assert_eq!(holder.is_none(), acquired == Acquired::Held);
    holder.is_none()
}

#[tokio::test]
async fn lock_taken_by_a_clock_ahead_is_free_once_the_clock_is_set_back() {
    for ahead in MUCH {
        assert!(is_free(ahead, false).await, "{ahead:?}");
        assert!(!is_free(ahead, true).await, "{ahead:?}: its holder lives");
    }
    assert!(!is_free(LITTLE, false).await);
}
