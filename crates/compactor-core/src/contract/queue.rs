//! The contract of queues: no sent message is lost, and a message in flight is hidden.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::eventually;
use crate::ports::{Attributes, Clock, Delivery, Held, Queue, Receipt};

// Whole seconds, because SQS takes no fractions.
const NOW: Duration = Duration::ZERO;
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(5);

/// Checks an empty queue whose `max_receives` is at least 2. `clock` must be the one that it uses.
pub async fn queue(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) {
    let (queue, clock) = (&*queue, &*clock);
    assert!(
        queue.max_receives() >= 2,
        "the suite needs a queue with max_receives >= 2"
    );
    an_empty_queue_gives_nothing(queue).await;
    a_message_comes_back_as_it_went(queue).await;
    an_undeleted_message_comes_back(queue, clock).await;
    extending_keeps_it_hidden(queue, clock).await;
    releasing_gives_it_back(queue, clock).await;
    a_long_poll_sees_what_becomes_visible(queue).await;
    a_receive_returns_at_most_its_maximum(queue).await;
    a_worn_out_message_is_dead(queue, clock).await;
    a_refused_message_is_dead(queue, clock).await;
    depths_count_every_message(queue, clock).await;
}

/// Checks, on an empty queue, the promises of a queue that delivers a message to one receiver at a time
/// and can tell a stale receipt. Queues that are only at-least-once, such as SQS, need not pass.
pub async fn strict_queue(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) {
    a_stale_receipt_holds_nothing(&*queue, &*clock).await;
    a_released_delivery_is_held_no_more(&*queue).await;
    no_message_is_handed_to_two(&queue).await;
}

async fn send(queue: &dyn Queue, body: &str) -> String {
    queue.send(body, &Attributes::new()).await.expect("send")
}

async fn none(queue: &dyn Queue) -> bool {
    queue
        .receive(10, NOW, LONG)
        .await
        .expect("receive")
        .is_empty()
}

#[expect(clippy::panic, reason = "a suite reports by panicking")]
async fn one(queue: &dyn Queue, visibility: Duration) -> Delivery {
    let mut deliveries = queue.receive(1, POLL, visibility).await.expect("receive");
    match (deliveries.pop(), deliveries.is_empty()) {
        (Some(delivery), true) => delivery,
        (last, _) => panic!("expected one delivery, got {last:?} after {deliveries:?}"),
    }
}

async fn delete(queue: &dyn Queue, delivery: &Delivery) {
    assert_eq!(
        queue.delete(&delivery.receipt).await.expect("delete"),
        Held::Yes
    );
}

async fn an_empty_queue_gives_nothing(queue: &dyn Queue) {
    assert!(none(queue).await);
    let waited = queue
        .receive(1, Duration::from_secs(1), LONG)
        .await
        .expect("receive");
    assert!(waited.is_empty());
    let unknown = Receipt("no-such-receipt".to_owned());
    assert_eq!(queue.delete(&unknown).await.ok(), Some(Held::No));
}

async fn a_message_comes_back_as_it_went(queue: &dyn Queue) {
    let attributes: Attributes = [("collection", "lines"), ("source", "dynamodb_stream")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let body = "{\"text\":\"größe \\\" ' \\n\"}";
    let id = queue.send(body, &attributes).await.expect("send");
    let delivery = one(queue, LONG).await;
    assert_eq!(
        (delivery.message_id.as_str(), delivery.body.as_str()),
        (id.as_str(), body)
    );
    assert_eq!(
        (&delivery.attributes, delivery.receive_count),
        (&attributes, 1)
    );
    assert!(none(queue).await, "a delivered message is hidden");
    delete(queue, &delivery).await;
}

async fn an_undeleted_message_comes_back(queue: &dyn Queue, clock: &dyn Clock) {
    let id = send(queue, "again").await;
    let first = one(queue, SHORT).await;
    assert!(none(queue).await);
    clock.sleep(SHORT + SHORT / 2).await;
    let second = one(queue, SHORT).await;
    assert_eq!(
        (second.message_id.as_str(), second.receive_count),
        (id.as_str(), 2)
    );
    assert_ne!(first.receipt, second.receipt);
    delete(queue, &second).await;
    clock.sleep(SHORT + SHORT / 2).await;
    assert!(none(queue).await, "a deleted message never comes back");
}

async fn extending_keeps_it_hidden(queue: &dyn Queue, clock: &dyn Clock) {
    send(queue, "extended").await;
    let delivery = one(queue, SHORT).await;
    assert_eq!(
        queue
            .extend(&delivery.receipt, SHORT * 3)
            .await
            .expect("extend"),
        Held::Yes
    );
    clock.sleep(SHORT * 2).await;
    assert!(none(queue).await, "it is hidden for longer than at first");
    clock.sleep(SHORT * 2).await;
    let again = one(queue, LONG).await;
    assert_eq!(again.receive_count, 2);
    delete(queue, &again).await;
}

async fn releasing_gives_it_back(queue: &dyn Queue, clock: &dyn Clock) {
    send(queue, "released").await;
    let delivery = one(queue, LONG).await;
    assert_eq!(
        queue
            .release(&delivery.receipt, SHORT)
            .await
            .expect("release"),
        Held::Yes
    );
    assert!(none(queue).await, "it waits for its delay");
    clock.sleep(SHORT + SHORT / 2).await;
    let again = one(queue, LONG).await;
    assert_eq!(again.receive_count, 2);
    delete(queue, &again).await;

    send(queue, "released at once").await;
    let delivery = one(queue, LONG).await;
    assert_eq!(
        queue
            .release(&delivery.receipt, NOW)
            .await
            .expect("release"),
        Held::Yes
    );
    let again = one(queue, LONG).await;
    assert_eq!(again.message_id, delivery.message_id);
    delete(queue, &again).await;
}

async fn a_long_poll_sees_what_becomes_visible(queue: &dyn Queue) {
    send(queue, "later").await;
    let delivery = one(queue, LONG).await;
    queue
        .release(&delivery.receipt, Duration::from_secs(1))
        .await
        .expect("release");
    let again = one(queue, LONG).await;
    assert_eq!(again.message_id, delivery.message_id);
    delete(queue, &again).await;
}

async fn a_receive_returns_at_most_its_maximum(queue: &dyn Queue) {
    let mut sent = HashSet::new();
    for n in 0..12 {
        sent.insert(send(queue, &n.to_string()).await);
    }
    let mut received = HashSet::new();
    while received.len() < sent.len() {
        let deliveries = queue.receive(5, POLL, LONG).await.expect("receive");
        assert!(
            (1..=5).contains(&deliveries.len()),
            "{} at once",
            deliveries.len()
        );
        for delivery in deliveries {
            delete(queue, &delivery).await;
            assert!(received.insert(delivery.message_id));
        }
    }
    assert_eq!(received, sent);
}

async fn dead(queue: &dyn Queue) -> u64 {
    queue.depth().await.expect("depth").dead
}

async fn a_worn_out_message_is_dead(queue: &dyn Queue, clock: &dyn Clock) {
    let before = dead(queue).await;
    send(queue, "worn out").await;
    for n in 1..=queue.max_receives() {
        let delivery = one(queue, LONG).await;
        assert_eq!(delivery.receive_count, n);
        queue
            .release(&delivery.receipt, NOW)
            .await
            .expect("release");
    }
    assert!(none(queue).await, "it was received often enough");
    eventually(clock, "the message is dead", async || {
        dead(queue).await == before + 1
    })
    .await;
}

async fn a_refused_message_is_dead(queue: &dyn Queue, clock: &dyn Clock) {
    let before = dead(queue).await;
    send(queue, "refused").await;
    let delivery = one(queue, SHORT).await;
    let held = queue
        .dead_letter(&delivery, "CC-MESSAGE-JSON: not JSON")
        .await;
    assert_eq!(held.expect("dead letter"), Held::Yes);
    clock.sleep(SHORT + SHORT / 2).await;
    assert!(none(queue).await, "it never comes back");
    eventually(clock, "the message is dead", async || {
        dead(queue).await == before + 1
    })
    .await;
}

async fn depths_count_every_message(queue: &dyn Queue, clock: &dyn Clock) {
    for _ in 0..3 {
        send(queue, "counted").await;
    }
    let flying = one(queue, LONG).await;
    let depth = async || queue.depth().await.expect("depth");
    eventually(clock, "two wait and one is handed out", async || {
        let depth = depth().await;
        (depth.visible, depth.delayed, depth.in_flight) == (2, 0, 1)
    })
    .await;
    queue.release(&flying.receipt, LONG).await.expect("release");
    eventually(clock, "one is delayed or hidden", async || {
        let depth = depth().await;
        depth.visible == 2 && depth.delayed + depth.in_flight == 1
    })
    .await;
    for _ in 0..2 {
        let delivery = one(queue, LONG).await;
        delete(queue, &delivery).await;
    }
}

async fn a_stale_receipt_holds_nothing(queue: &dyn Queue, clock: &dyn Clock) {
    send(queue, "stale").await;
    let first = one(queue, SHORT).await;
    clock.sleep(SHORT + SHORT / 2).await;
    let second = one(queue, LONG).await;
    assert_eq!(
        queue.extend(&first.receipt, LONG).await.expect("extend"),
        Held::No
    );
    assert_eq!(
        queue.release(&first.receipt, NOW).await.expect("release"),
        Held::No
    );
    assert_eq!(
        queue
            .dead_letter(&first, "stale")
            .await
            .expect("dead letter"),
        Held::No
    );
    assert_eq!(
        queue.delete(&first.receipt).await.expect("delete"),
        Held::No
    );
    assert!(none(queue).await, "the second delivery is untouched");
    delete(queue, &second).await;
    assert_eq!(
        queue.delete(&second.receipt).await.expect("delete"),
        Held::No
    );
}

async fn a_released_delivery_is_held_no_more(queue: &dyn Queue) {
    send(queue, "released").await;
    let first = one(queue, LONG).await;
    assert_eq!(
        queue.release(&first.receipt, SHORT).await.expect("release"),
        Held::Yes
    );
    let depth = queue.depth().await.expect("depth");
    assert_eq!((depth.visible, depth.delayed, depth.in_flight), (0, 1, 0));
    assert_eq!(
        queue.release(&first.receipt, NOW).await.expect("release"),
        Held::No
    );
    assert_eq!(
        queue.extend(&first.receipt, LONG).await.expect("extend"),
        Held::No
    );
    assert_eq!(
        queue.delete(&first.receipt).await.expect("delete"),
        Held::No
    );
    let again = one(queue, LONG).await;
    delete(queue, &again).await;
}

async fn no_message_is_handed_to_two(queue: &Arc<dyn Queue>) {
    const MESSAGES: usize = 40;
    for n in 0..MESSAGES {
        send(&**queue, &n.to_string()).await;
    }
    let mut receivers = JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        receivers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let deliveries = queue.receive(3, NOW, LONG * 60).await.expect("receive");
                if deliveries.is_empty() {
                    return taken;
                }
                taken.extend(deliveries);
            }
        });
    }
    let taken = receivers.join_all().await.concat();
    let ids: HashSet<_> = taken.iter().map(|delivery| &delivery.message_id).collect();
    assert_eq!((taken.len(), ids.len()), (MESSAGES, MESSAGES));
    for delivery in &taken {
        delete(&**queue, delivery).await;
    }
}
