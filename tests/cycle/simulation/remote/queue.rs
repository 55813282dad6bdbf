//! The queue.

use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{Attributes, Delivery, Depth, Held, PortResult, Queue, Receipt};

use super::Remote;
use crate::simulation::mistake::Mistake;

#[async_trait]
impl Queue for Remote {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        let request = self.services.queue.send(body, attributes);
        self.change("send", "", request).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        let receive = async {
            let queue = &self.services.queue;
            let received = queue.receive(max, wait, visibility).await?;
            if self.services.mistake == Some(Mistake::ReceiveDeletes) {
                for delivery in &received {
                    queue.delete(&delivery.receipt).await?;
                }
            }
            Ok(received)
        };
        self.change("receive", "", receive).await
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        let request = self.services.queue.extend(receipt, visibility);
        self.change("extend", &receipt.0, request).await
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        let request = self.services.queue.release(receipt, delay);
        self.change("release", &receipt.0, request).await
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        let request = self.services.queue.delete(receipt);
        self.change("delete message", &receipt.0, request).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        let request = self.services.queue.dead_letter(delivery, reason);
        self.change("dead_letter", &delivery.receipt.0, request)
            .await
    }

    async fn depth(&self) -> PortResult<Depth> {
        self.ask("depth", "", self.services.queue.depth()).await
    }

    fn max_receives(&self) -> u32 {
        self.services.queue.max_receives()
    }
}
