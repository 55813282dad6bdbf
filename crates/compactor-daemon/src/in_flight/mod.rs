//! Messages in flight: received, and hidden from other workers until this one deletes them or gives them
//! back.

mod queue_refusal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compactor_core::ports::{Delivery, Held, Monotonic, PortResult, Queue, Receipt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::side_by_side;
use crate::{Error, Ports, Settings};

use queue_refusal::QueueRefusal;

/// Extends the visibility of every held message until it is let go, or cannot be held any longer.
#[derive(Clone)]
pub(crate) struct InFlight {
    messages: Arc<Mutex<BTreeMap<Receipt, Message>>>,
    /// Given back when nothing is received any more.
    owed: Arc<Mutex<Vec<(Receipt, Duration)>>>,
    ending: CancellationToken,
    refusal: QueueRefusal,
}

#[derive(Debug, Clone)]
struct Message {
    /// When it was received.
    since: Monotonic,
    delivery: Delivery,
    /// There is nothing to do but to delete it.
    is_settled: bool,
}

impl InFlight {
    /// `stop` tells that the daemon stops.
    pub(crate) fn new(stop: &CancellationToken) -> Self {
        Self {
            messages: Arc::default(),
            owed: Arc::default(),
            ending: stop.child_token(),
            refusal: QueueRefusal::default(),
        }
    }

    /// Waits until the queue refuses what no message can do without.
    pub(crate) async fn refused(&self) -> Error {
        self.refusal.happened().await
    }

    /// From now on messages are not given back at once but by [`Self::give_back_owed`]: a receive
    /// under way would get them again, and that counts.
    pub(crate) fn end(&self) {
        self.ending.cancel();
    }

    pub(crate) fn hold(&self, delivery: &Delivery, since: Monotonic) {
        let message = Message {
            since,
            delivery: delivery.clone(),
            is_settled: false,
        };
        self.lock().insert(delivery.receipt.clone(), message);
    }

    pub(crate) fn let_go(&self, receipt: &Receipt) {
        self.lock().remove(receipt);
    }

    /// Deletes a message that is settled. While the queue does not do it, the message stays hidden, and
    /// is tried again whenever others are extended: let go, it would come back until it is dead.
    pub(crate) async fn delete(&self, queue: &dyn Queue, receipt: &Receipt) {
        self.was_deleted(receipt, queue.delete(receipt).await);
    }

    /// The same, once the queue has answered.
    pub(crate) fn was_deleted(&self, receipt: &Receipt, answer: PortResult<Held>) {
        match answer {
            Ok(_) => self.let_go(receipt),
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "cannot delete a message; it stays hidden, and it is tried again");
                if let Some(message) = self.lock().get_mut(receipt) {
                    message.is_settled = true;
                }
                self.refusal.note(error);
            }
        }
    }

    /// Tries once more to delete what is settled.
    ///
    /// # Errors
    /// Why something cannot be deleted; the rest is tried all the same.
    pub(crate) async fn delete_settled(&self, queue: &dyn Queue) -> PortResult<()> {
        let messages = self.lock().clone();
        let mut failed = None;
        for (receipt, _) in messages.iter().filter(|(_, message)| message.is_settled) {
            match queue.delete(receipt).await {
                Ok(_) => self.let_go(receipt),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Leaves a message until its visibility ends. If this was its last receive, the queue would not hand
    /// it out again, so the daemon sends a copy first.
    pub(crate) async fn leave(&self, queue: &dyn Queue, receipt: &Receipt) {
        if !self.renewed(queue, receipt).await {
            self.let_go(receipt);
        }
    }

    /// Gives a message back, to be received again after `delay`.
    pub(crate) async fn give_back(&self, queue: &dyn Queue, receipt: &Receipt, delay: Duration) {
        if self.ending.is_cancelled() {
            let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
            return owed.push((receipt.clone(), delay));
        }
        self.release(queue, receipt, delay).await;
    }

    /// Gives back what was to be since the end began.
    pub(crate) async fn give_back_owed(&self, queue: &dyn Queue) {
        let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        let calls = owed
            .iter()
            .map(|(receipt, delay)| self.release(queue, receipt, *delay));
        side_by_side(calls).await;
    }

    async fn release(&self, queue: &dyn Queue, receipt: &Receipt, delay: Duration) {
        if self.renewed(queue, receipt).await {
            return;
        }
        self.let_go(receipt);
        if let Err(error) = queue.release(receipt, delay).await {
            tracing::warn!(code = error.code(), %error, "cannot give a message back; it returns when its visibility ends");
            self.refusal.note(error);
        }
    }

    /// Sends a copy of a message that was received for the last time, and deletes the old one. Returns
    /// whether it did.
    async fn renewed(&self, queue: &dyn Queue, receipt: &Receipt) -> bool {
        let message = self.lock().get(receipt).cloned();
        let Some(message) = message.filter(|message| !message.is_settled) else {
            return false;
        };
        let is_sent = send_copy(queue, &message.delivery).await;
        if is_sent {
            self.delete(queue, receipt).await;
        }
        is_sent
    }

    /// How many there is something to do for.
    pub(crate) fn open(&self) -> usize {
        let messages = self.lock();
        messages
            .values()
            .filter(|message| !message.is_settled)
            .count()
    }

    /// Starts the task that extends; three times per visibility, so that two may fail.
    pub(crate) fn keep_hidden(&self, ports: Ports, settings: &Settings) -> AbortOnDropHandle<()> {
        let (held, visibility) = (self.clone(), settings.visibility);
        let extending = async move {
            loop {
                ports.clock.sleep(visibility / 3).await;
                held.extend_all(&ports, visibility).await;
            }
        };
        AbortOnDropHandle::new(tokio::spawn(extending))
    }

    async fn extend_all(&self, ports: &Ports, visibility: Duration) {
        let now = ports.clock.monotonic();
        let longest = ports.queue.longest_hold();
        // A queue counts in whole seconds, and refuses one too many.
        let longest = longest.saturating_sub(Duration::from_secs(1));
        let left = |since: Monotonic| longest.saturating_sub(now.0.saturating_sub(since.0));
        let due: Vec<(Message, Duration)> = self
            .lock()
            .values()
            .map(|message| (message.clone(), left(message.since)))
            .collect();
        // Side by side: one after the other, the last ones would come back before their turn.
        let calls = due
            .iter()
            .map(|(message, left)| self.extend(ports, message, visibility, *left));
        side_by_side(calls).await;
    }

    async fn extend(&self, ports: &Ports, message: &Message, visibility: Duration, left: Duration) {
        let queue = ports.queue.as_ref();
        let receipt = &message.delivery.receipt;
        if message.is_settled {
            self.delete(queue, receipt).await;
            if !self.lock().contains_key(receipt) {
                return;
            }
        // At the end of the hold the queue would dead-letter it instead of handing it out.
        } else if left < visibility && self.renewed(queue, receipt).await {
            return;
        }
        let visibility = visibility.min(left);
        if visibility.is_zero() {
            tracing::warn!("a message cannot be held any longer; it comes back");
            return self.let_go(receipt);
        }
        match queue.extend(receipt, visibility).await {
            Ok(Held::Yes) => {}
            // Somebody else has it or had it: the manifest settles who did the work.
            Ok(Held::No) => self.let_go(receipt),
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "cannot extend a message's visibility");
                self.refusal.note(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Receipt, Message>> {
        // A map of whole entries at every instant.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a copy of a message that was received for the last time: given back, it would be dead without a
/// reason, though its run is not at fault. Returns whether it was sent. Killed before the old one is
/// deleted, it is there twice, and the manifest settles that.
async fn send_copy(queue: &dyn Queue, delivery: &Delivery) -> bool {
    if delivery.receive_count < queue.max_receives() {
        return false;
    }
    let message = delivery.message_id.as_str();
    match queue.send(&delivery.body, &delivery.attributes).await {
        Ok(_) => {
            tracing::info!(
                message,
                "sent again: it was received for the last time, and its run is not at fault"
            );
            true
        }
        Err(error) => {
            tracing::warn!(message, code = error.code(), %error, "cannot send a copy of a message that was received for the last time");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use compactor_core::fakes::{
        FakeClock, FakeLeaseStore, FakeObjectStore, FakeQueue, FakeRunStore, SeededIds,
    };
    use compactor_core::ports::{Attributes, Clock, Ids, Queue};

    use super::*;

    #[tokio::test]
    async fn nothing_is_held_for_longer_than_a_queue_allows() {
        let clock = Arc::new(FakeClock::auto());
        let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(1));
        const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
        let queue = FakeQueue::new(clock.clone(), ids.clone(), 3).holding_at_most(LONGEST);
        let queue = Arc::new(queue);
        let ports = Ports {
            objects: Arc::new(FakeObjectStore::new(clock.clone())),
            queue: queue.clone(),
            leases: Arc::new(FakeLeaseStore::new(clock.clone())),
            runs: Arc::new(FakeRunStore::new()),
            clock: clock.clone(),
            ids,
        };
        let (visibility, short) = (LONGEST + Duration::from_secs(60), Duration::from_secs(60));
        queue.send("a", &Attributes::new()).await.unwrap();
        let received = queue.receive(1, Duration::ZERO, visibility).await.unwrap();
        let held = InFlight::new(&CancellationToken::new());
        held.hold(&received[0], clock.monotonic());
        clock.advance(LONGEST - Duration::from_secs(10));
        held.extend_all(&ports, short).await;
        clock.advance(Duration::from_secs(11));
        let again = queue.receive(1, Duration::ZERO, short).await.unwrap();
        assert_eq!(again.len(), 1, "hidden until the bound, and no longer");
        held.extend_all(&ports, short).await;
        assert_eq!(held.open(), 0);
    }
}
