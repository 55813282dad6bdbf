//! Asking the queue for messages.
//!
//! Where collections have queues of their own, those are left alone whose lease another worker
//! holds: what is taken from them could only be given back, and would have used up a receive.

use std::collections::BTreeSet;
use std::time::Duration;

use compactor_core::ports::{Delivery, LockHolder, Monotonic, PortResult};
use compactor_core::{CollectionName, Lineage};

use crate::Ports;

/// How long to wait where every queue is another worker's.
const PAUSE: Duration = Duration::from_secs(1);

/// One receive.
pub(crate) struct Poll {
    /// Collections whose lease is ours.
    pub(crate) ours: BTreeSet<CollectionName>,
    /// Most messages.
    pub(crate) max: usize,
    /// How long to wait for the first.
    pub(crate) wait: Duration,
    /// How long they stay hidden.
    pub(crate) visibility: Duration,
}

/// What a receive brought.
pub(crate) struct Polled {
    pub(crate) deliveries: Vec<Delivery>,
    /// When it began: no message was received earlier.
    pub(crate) since: Monotonic,
    /// Own queues of collections that are not ours, as they were found before.
    pub(crate) looks: Vec<Look>,
}

/// An own queue that was looked at.
pub(crate) struct Look {
    pub(crate) collection: CollectionName,
    /// Who holds the collection, so that the queue is left alone, and how many messages wait there.
    pub(crate) locked: Option<(LockHolder, u64)>,
}

impl Poll {
    pub(crate) async fn receive(self, ports: &Ports) -> PortResult<Polled> {
        let since = ports.clock.monotonic();
        let looks = self.look(ports).await;
        let deliveries = self.ask(ports, &looks).await?;
        Ok(Polled {
            deliveries,
            since,
            looks,
        })
    }

    async fn look(&self, ports: &Ports) -> Vec<Look> {
        let mut looks = Vec::new();
        for collection in ports.queue.own_queues() {
            if self.ours.contains(&collection) {
                continue;
            }
            let locked = match ports.leases.holder(&Lineage::from(&collection)).await {
                Ok(Some(holder)) => Some((holder, waiting(ports, &collection).await)),
                Ok(None) => None,
                // A cycle finds out what that means to its runs.
                Err(error) => {
                    tracing::debug!(%collection, code = error.code(), %error, "not known who holds the collection");
                    None
                }
            };
            looks.push(Look { collection, locked });
        }
        looks
    }

    async fn ask(&self, ports: &Ports, looks: &[Look]) -> PortResult<Vec<Delivery>> {
        let locked = looks.iter().filter(|look| look.locked.is_some());
        let others: Vec<_> = locked.map(|look| look.collection.clone()).collect();
        if !others.is_empty() && others.len() == ports.queue.own_queues().len() {
            ports.clock.sleep(PAUSE).await;
            return Ok(Vec::new());
        }
        let queue = &ports.queue;
        queue
            .receive_except(&others, self.max, self.wait, self.visibility)
            .await
    }
}

/// For people and alarms: who cannot count goes on.
async fn waiting(ports: &Ports, collection: &CollectionName) -> u64 {
    match ports.queue.waiting(collection).await {
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::debug!(%collection, code = error.code(), %error, "cannot count the messages that wait");
            0
        }
    }
}
