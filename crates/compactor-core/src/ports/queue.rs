//! At-least-once messages with a visibility timeout, as SQS has them.

use std::time::Duration;

use async_trait::async_trait;

use super::{Attributes, PortResult};
use crate::CollectionName;

/// The name of one delivery of one message. Each later delivery of the message has another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

/// A received message, which is in flight: the queue hides it from other receivers until its
/// visibility timeout ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names this delivery in later calls.
    pub receipt: Receipt,
    /// The queue's id of the message, the same in every delivery.
    pub message_id: String,
    /// The body as it was sent.
    pub body: String,
    /// The attributes as they were sent; those that are not text are left out.
    pub attributes: Attributes,
    /// How often the queue has delivered this message, this time included: 1 at first.
    pub receive_count: u32,
    /// The collection whose own queue delivered the message; `None` where one queue serves all. The
    /// senders to a collection's own queue may announce nothing for other collections.
    pub of_queue: Option<CollectionName>,
}

/// Whether a receipt still held its message when a call used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It did, and the call took effect.
    Yes,
    /// It did not, and the call changed nothing: the message was deleted, released, or delivered again
    /// since. A queue that cannot tell may answer `Yes`.
    No,
}

/// How many messages a queue holds. Approximate on SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that a receive would return now.
    pub visible: u64,
    /// Messages whose delay has not ended.
    pub delayed: u64,
    /// Messages that were received and not yet settled: neither deleted nor released, and their
    /// visibility has not ended.
    pub in_flight: u64,
    /// Messages in the dead-letter queue.
    pub dead: u64,
}

/// A queue with a dead-letter queue behind it.
///
/// An adapter guarantees that a sent message is delivered until a caller deletes it or it becomes a
/// dead letter. It may deliver a message more than once and in any order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends a message, visible at once, and returns its id.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call, or no queue serves the collection that the
    /// attributes name (`Invalid`). The message may have been sent all the same.
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String>;

    /// Receives at most `max` messages (1 to 10). Returns as soon as there is one, and an empty list if
    /// none becomes visible within `wait`. Each returned message stays hidden for `visibility`.
    ///
    /// A message that was received [`max_receives`](Self::max_receives) times and not deleted is not
    /// delivered again: the queue moves it to the dead-letter queue.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call. Messages may have been received all the same;
    /// they become visible again after `visibility`.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>>;

    /// The collections that have a queue of their own; empty where one queue serves all.
    fn own_queues(&self) -> Vec<CollectionName> {
        Vec::new()
    }

    /// How many messages a receive could return now from the collection's own queue, or from the only
    /// queue where there is one for all; 0 for a collection without a queue. Approximate on SQS.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call.
    async fn waiting(&self, collection: &CollectionName) -> PortResult<u64> {
        let _ = collection;
        Ok(self.depth().await?.visible)
    }

    /// As [`receive`](Self::receive), but leaves out the own queues of the collections in `except`.
    /// Where one queue serves all collections, nothing is left out.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
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

    /// Keeps a message in flight hidden for `visibility` from now.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call. The message may have been extended all the same.
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held>;

    /// Gives a message in flight back: it becomes visible after `delay`. Its receive still counts.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call. The message may have been released; if not, it
    /// becomes visible when its visibility ends.
    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held>;

    /// Deletes a message in flight: no receiver gets it again.
    ///
    /// # Errors
    /// The queue cannot be reached or refuses the call. The message may have been deleted; if not, it is
    /// delivered again.
    async fn delete(&self, receipt: &Receipt) -> PortResult<Held>;

    /// Moves a message in flight to the dead-letter queue, with `reason` beside it. The message is
    /// never lost on the way; a failure half-way may leave it in both queues.
    ///
    /// # Errors
    /// One of the two queues cannot be reached or refuses the call.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held>;

    /// Counts the messages of the queue and of its dead-letter queue.
    ///
    /// # Errors
    /// One of the two queues cannot be reached or refuses the call.
    async fn depth(&self) -> PortResult<Depth>;

    /// For how long after its receive a message can stay in flight at most, all extensions together.
    fn longest_hold(&self) -> Duration {
        Duration::MAX
    }

    /// After how many receives a message that is not deleted becomes a dead letter. An operator may
    /// change the number at any time, so ask for it at each decision.
    fn max_receives(&self) -> u32;
}
