//! The port `Queue` on one SQS queue per collection.
//!
//! The queues are polled in turns. A message goes to the queue of the collection that its attributes name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::CollectionName;
use compactor_core::ports::{
    Attributes, Delivery, Depth, Fault, Held, PortError, PortResult, Queue, Receipt,
};

use crate::SqsQueue;

/// The attribute that names a message's collection.
const COLLECTION: &str = "collection";

/// The queues of all collections, as one queue.
#[derive(Debug)]
pub struct SqsQueues {
    queues: Vec<(CollectionName, SqsQueue)>,
    /// Counts polls; modulo the number of queues, the next one to poll.
    turn: AtomicUsize,
}

impl SqsQueues {
    /// Joins `queues`, which must not be empty.
    pub(crate) fn new(queues: Vec<(CollectionName, SqsQueue)>) -> Self {
        Self {
            queues,
            turn: AtomicUsize::new(0),
        }
    }

    /// The queue that delivered `receipt`, and the receipt as that queue knows it.
    fn of(&self, operation: &'static str, receipt: &Receipt) -> PortResult<(&SqsQueue, Receipt)> {
        let (at, own) = receipt.0.split_once(':').unwrap_or_default();
        let queue = at.parse().ok().and_then(|at: usize| self.queues.get(at));
        let (_, queue) = queue.ok_or_else(|| {
            let reason = "no queue has delivered it";
            PortError::new(operation, &receipt.0, Fault::Invalid, reason)
        })?;
        Ok((queue, Receipt(own.to_owned())))
    }
}

#[async_trait]
impl Queue for SqsQueues {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        let name = attributes.get(COLLECTION).map_or("", String::as_str);
        let mut queues = self.queues.iter();
        let queue = queues.find(|(collection, _)| collection.as_str() == name);
        let (_, queue) = queue.ok_or_else(|| {
            let reason = "this collection has no queue; name one in aws.queues";
            PortError::new("send message", name, Fault::Invalid, reason)
        })?;
        queue.send(body, attributes).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.receive_except(&[], max, wait, visibility).await
    }

    fn own_queues(&self) -> Vec<CollectionName> {
        self.queues.iter().map(|(name, _)| name.clone()).collect()
    }

    async fn waiting(&self, collection: &CollectionName) -> PortResult<u64> {
        let mut queues = self.queues.iter();
        match queues.find(|(name, _)| name == collection) {
            Some((_, queue)) => queue.waiting_now().await,
            None => Ok(0),
        }
    }

    async fn receive_except(
        &self,
        except: &[CollectionName],
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        let count = self.queues.len();
        let asked = count.saturating_sub(except.len()).max(1);
        let share = wait / u32::try_from(asked).unwrap_or(u32::MAX);
        for _ in 0..count {
            let at = self.turn.fetch_add(1, Ordering::Relaxed) % count;
            let (collection, queue) = &self.queues[at];
            if except.contains(collection) {
                continue;
            }
            let mut received = queue.receive(max, share, visibility).await?;
            for delivery in &mut received {
                let own = &delivery.receipt.0;
                delivery.receipt = Receipt(format!("{at}:{own}"));
                delivery.of_queue = Some(collection.clone());
                // The queue names the collection where the message does not.
                let attribute = delivery.attributes.entry(COLLECTION.to_owned());
                attribute.or_insert_with(|| collection.to_string());
            }
            if !received.is_empty() {
                return Ok(received);
            }
        }
        Ok(Vec::new())
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        let (queue, receipt) = self.of("extend", receipt)?;
        queue.extend(&receipt, visibility).await
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        let (queue, receipt) = self.of("release", receipt)?;
        queue.release(&receipt, delay).await
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        let (queue, receipt) = self.of("delete message", receipt)?;
        queue.delete(&receipt).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        let (queue, receipt) = self.of("dead-letter", &delivery.receipt)?;
        let own = Delivery {
            receipt,
            ..delivery.clone()
        };
        queue.dead_letter(&own, reason).await
    }

    async fn depth(&self) -> PortResult<Depth> {
        let mut sum = Depth::default();
        for (_, queue) in &self.queues {
            let depth = queue.depth().await?;
            sum.visible += depth.visible;
            sum.delayed += depth.delayed;
            sum.in_flight += depth.in_flight;
            sum.dead += depth.dead;
        }
        Ok(sum)
    }

    fn longest_hold(&self) -> Duration {
        let holds = self.queues.iter().map(|(_, queue)| queue.longest_hold());
        holds.min().unwrap_or(Duration::MAX)
    }

    fn max_receives(&self) -> u32 {
        let counts = self.queues.iter().map(|(_, queue)| queue.max_receives());
        counts.min().unwrap_or(1)
    }
}
