//! The redrive policy is changed while the queue is in use.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::fakes::FakeClock;
use compactor_core::ports::{Attributes, Delivery, Queue};
use compactor_testkit::cloud::Cloud;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

/// Long polls find what short ones may miss.
async fn receive(queue: &dyn Queue) -> Vec<Delivery> {
    queue
        .receive(1, Duration::from_secs(1), LONG)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_redrive_policy_is_noticed_by_receives_and_extensions() {
    let cloud = Cloud::new(5).await;
    let clock = Arc::new(FakeClock::manual());
    let queue = cloud.backend_by(clock.clone()).await.queue;
    cloud.set_max_receives(4).await;
    receive(queue.as_ref()).await;
    assert_eq!(
        queue.max_receives(),
        5,
        "the policy is not read at each receive"
    );
    clock.advance(Duration::from_secs(30));
    receive(queue.as_ref()).await;
    assert_eq!(queue.max_receives(), 4);

    queue.send("a", &Attributes::new()).await.unwrap();
    let held = receive(queue.as_ref()).await.remove(0);
    cloud.set_max_receives(3).await;
    clock.advance(Duration::from_secs(30));
    queue.extend(&held.receipt, LONG).await.unwrap();
    assert_eq!(queue.max_receives(), 3);
}

/// A worker that gives back a message after its last receive loses it silently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_policy_is_read_sooner_when_a_message_is_redelivered() {
    let cloud = Cloud::new(5).await;
    let clock = Arc::new(FakeClock::manual());
    let queue = cloud.backend_by(clock.clone()).await.queue;
    queue.send("a", &Attributes::new()).await.unwrap();
    let first = receive(queue.as_ref()).await.remove(0);
    cloud.set_max_receives(2).await;
    queue.release(&first.receipt, NOW).await.unwrap();
    clock.advance(Duration::from_secs(5));
    let again = receive(queue.as_ref()).await.remove(0);
    assert_eq!((again.receive_count, queue.max_receives()), (2, 2));
}
