//! Asking the queue for messages.
//!
//! Where collections have queues of their own, those are left alone whose lease another worker
//! holds: what is taken from them could only be given back, and would have used up a receive.

use std::collections::BTreeSet;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::{Delivery, Monotonic, PortResult};

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
pub(crate) struct Received {
    pub(crate) deliveries: Vec<Delivery>,
    /// When it began: no message was received earlier.
    pub(crate) since: Monotonic,
}

impl Poll {
    pub(crate) async fn receive(self, ports: &Ports) -> PortResult<Received> {
        let since = ports.clock.monotonic();
        let deliveries = self.ask(ports).await?;
        Ok(Received { deliveries, since })
    }

    async fn ask(self, ports: &Ports) -> PortResult<Vec<Delivery>> {
        let own = ports.queue.own_queues();
        let mut others = Vec::new();
        for collection in &own {
            let is_ours = self.ours.contains(collection);
            if !is_ours && ports.leases.holder(collection).await?.is_some() {
                others.push(collection.clone());
            }
        }
        if !own.is_empty() && others.len() == own.len() {
            ports.clock.sleep(PAUSE).await;
            return Ok(Vec::new());
        }
        let queue = &ports.queue;
        queue
            .receive_except(&others, self.max, self.wait, self.visibility)
            .await
    }
}
