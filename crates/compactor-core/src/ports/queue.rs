//! At-least-once messages with a visibility timeout, as SQS has them.

use std::time::Duration;

use async_trait::async_trait;

use super::{Attributes, PortResult};
use crate::CollectionName;

/// Names one delivery of one message; a later delivery has another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

/// A message handed out, hidden from others until its visibility ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// This delivery.
    pub receipt: Receipt,
    /// The message, the same in every delivery.
    pub message_id: String,
    /// The body as it was sent.
    pub body: String,
    /// The attributes as they were sent.
    pub attributes: Attributes,
    /// How often this message has been handed out, this time included (1 at first).
    pub receive_count: u32,
    /// The collection that the queue serves, where each has one of its own: its senders may
    /// say nothing about other collections.
    pub of_queue: Option<CollectionName>,
}

/// Whether a delivery was still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It was.
    Yes,
    /// The message was deleted, given back, or handed out again since. A queue that is only
    /// at-least-once may not be able to tell, and say `Yes`.
    No,
}

/// How many messages a queue holds (approximate on real queues).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Waiting to be received now.
    pub visible: u64,
    /// Waiting for a delay to end.
    pub delayed: u64,
    /// Handed out and not yet deleted or released.
    pub in_flight: u64,
    /// In the dead-letter queue.
    pub dead: u64,
}

/// A queue with a dead-letter queue behind it.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends a message; gives its id.
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String>;

    /// Receives at most `max` messages (1 to 10), waiting up to `wait` for the first. Each stays
    /// hidden for `visibility`. A message already received `max_receives` times is moved to the
    /// dead-letter queue instead of being handed out.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>>;

    /// The collections that have a queue of their own; none where one queue serves all.
    fn own_queues(&self) -> Vec<CollectionName> {
        Vec::new()
    }

    /// How many messages wait to be received from the own queue of `collection` (approximate on real
    /// queues).
    async fn waiting(&self, collection: &CollectionName) -> PortResult<u64> {
        let _ = collection;
        Ok(self.depth().await?.visible)
    }

    /// As [`receive`](Self::receive), from none of the own queues of the collections in `except`.
    async fn receive_except(
        &self,
        except: &[CollectionName],
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        let _ = except;
        self.receive(max, wait, visibility).await
    }

    /// Keeps a delivery hidden for `visibility` from now.
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held>;

    /// Gives a delivery back; it may be received again after `delay`.
    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held>;

    /// Deletes a delivered message for good.
    async fn delete(&self, receipt: &Receipt) -> PortResult<Held>;

    /// Moves a delivered message to the dead-letter queue at once, with the reason.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held>;

    /// How many messages there are.
    async fn depth(&self) -> PortResult<Depth>;

    /// No delivery can be held for longer, all extensions together.
    fn longest_hold(&self) -> Duration {
        Duration::MAX
    }

    /// After how many receives a message that is not deleted goes to the dead-letter queue. Someone
    /// may change it at any time, so it is asked for at each decision.
    fn max_receives(&self) -> u32;
}
