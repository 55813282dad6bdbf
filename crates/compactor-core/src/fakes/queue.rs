//! The double of the port `Queue`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Faults, lock};
use crate::ports::{
    Attributes, Clock, Delivery, Depth, Fault, Held, Ids, Monotonic, PortError, PortResult, Queue,
    Receipt,
};

/// A message in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    /// The id that the message had in the queue.
    pub message_id: String,
    /// The body as it was sent.
    pub body: String,
    /// The attributes as they were sent.
    pub attributes: Attributes,
    /// The reason why the message was given up.
    pub reason: String,
}

/// A queue in memory with a dead-letter queue that tests can read. It passes the strict contract too.
pub struct FakeQueue {
    /// The faults to inject, and the record of all calls.
    pub faults: Faults,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    max_receives: u32,
    longest_hold: Duration,
    state: Mutex<State>,
    sent: Notify,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    dead: Vec<DeadMessage>,
}

struct Message {
    id: String,
    body: String,
    attributes: Attributes,
    visible_at: Monotonic,
    receive_count: u32,
    receipt: Option<Receipt>,
}

impl Message {
    fn into_dead(self, reason: &str) -> DeadMessage {
        let (message_id, reason) = (self.id, reason.to_owned());
        DeadMessage {
            message_id,
            body: self.body,
            attributes: self.attributes,
            reason,
        }
    }
}

impl FakeQueue {
    /// An empty queue. Visibility goes by the monotonic time of `clock`.
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, max_receives: u32) -> Self {
        let (faults, state, sent) = Default::default();
        Self {
            faults,
            clock,
            ids,
            max_receives,
            longest_hold: Duration::MAX,
            state,
            sent,
        }
    }

    /// The same queue with this [`longest_hold`](Queue::longest_hold).
    #[must_use]
    pub fn holding_at_most(mut self, longest: Duration) -> Self {
        self.longest_hold = longest;
        self
    }

    /// The dead letters, oldest first. For assertions; not a call of the port.
    pub fn dead_letters(&self) -> Vec<DeadMessage> {
        lock(&self.state).dead.clone()
    }

    fn take(&self, max: usize, visibility: Duration) -> Vec<Delivery> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        // Stable, so messages of one instant stay in the order in which they were sent.
        state.messages.sort_by_key(|message| message.visible_at);
        let (worn_out, alive) = std::mem::take(&mut state.messages)
            .into_iter()
            .partition(|m| m.visible_at <= now && m.receive_count >= self.max_receives);
        state.messages = alive;
        let reason = format!("received {} times", self.max_receives);
        let worn_out: Vec<Message> = worn_out;
        state.dead.extend(
            worn_out
                .into_iter()
                .map(|message| message.into_dead(&reason)),
        );
        let visible = state
            .messages
            .iter_mut()
            .filter(|message| message.visible_at <= now);
        visible
            .take(max)
            .map(|message| {
                let receipt = Receipt(self.ids.uuid().to_string());
                message.receive_count += 1;
                message.visible_at = Monotonic(now.0.saturating_add(visibility));
                message.receipt = Some(receipt.clone());
                Delivery {
                    receipt,
                    message_id: message.id.clone(),
                    body: message.body.clone(),
                    attributes: message.attributes.clone(),
                    receive_count: message.receive_count,
                    of_queue: None,
                }
            })
            .collect()
    }

    fn next_visible(&self) -> Option<Monotonic> {
        lock(&self.state)
            .messages
            .iter()
            .map(|message| message.visible_at)
            .min()
    }

    fn held(&self, receipt: &Receipt, change: impl FnOnce(&mut State, usize)) -> Held {
        let mut state = lock(&self.state);
        let at = state
            .messages
            .iter()
            .position(|m| m.receipt.as_ref() == Some(receipt));
        match at {
            None => Held::No,
            Some(at) => {
                change(&mut state, at);
                Held::Yes
            }
        }
    }
}

#[async_trait]
impl Queue for FakeQueue {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        let pending = self.faults.begin("send", "")?;
        let id = self.ids.uuid().to_string();
        lock(&self.state).messages.push(Message {
            id: id.clone(),
            body: body.to_owned(),
            attributes: attributes.clone(),
            visible_at: self.clock.monotonic(),
            receive_count: 0,
            receipt: None,
        });
        self.sent.notify_waiters();
        pending.end(id)
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        let pending = self.faults.begin("receive", "")?;
        if !(1..=10).contains(&max) {
            let reason = format!("asked for {max} messages, 1 to 10 are allowed");
            return Err(PortError::new("receive", "", Fault::Invalid, reason));
        }
        let end = Monotonic(self.clock.monotonic().0.saturating_add(wait));
        loop {
            let mut sent = std::pin::pin!(self.sent.notified());
            // Listen before looking, or a message in between would be missed.
            sent.as_mut().enable();
            let deliveries = self.take(max, visibility);
            let now = self.clock.monotonic();
            if !deliveries.is_empty() || now >= end {
                return pending.end(deliveries);
            }
            let wake = self.next_visible().map_or(end, |visible| visible.min(end));
            let nap = wake.0.saturating_sub(now.0);
            tokio::select! {
                biased;
                () = sent => {}
                () = self.clock.sleep(nap) => {}
            }
        }
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        let pending = self.faults.begin("extend", &receipt.0)?;
        let visible_at = Monotonic(self.clock.monotonic().0.saturating_add(visibility));
        let held = self.held(receipt, |state, at| {
            state.messages[at].visible_at = visible_at;
        });
        pending.end(held)
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        let pending = self.faults.begin("release", &receipt.0)?;
        let visible_at = Monotonic(self.clock.monotonic().0.saturating_add(delay));
        let held = self.held(receipt, |state, at| {
            state.messages[at].visible_at = visible_at;
            state.messages[at].receipt = None;
        });
        self.sent.notify_waiters();
        pending.end(held)
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        let pending = self.faults.begin("delete", &receipt.0)?;
        let held = self.held(receipt, |state, at| {
            state.messages.remove(at);
        });
        pending.end(held)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        let pending = self.faults.begin("dead_letter", &delivery.receipt.0)?;
        let held = self.held(&delivery.receipt, |state, at| {
            let dead = state.messages.remove(at).into_dead(reason);
            state.dead.push(dead);
        });
        pending.end(held)
    }

    async fn depth(&self) -> PortResult<Depth> {
        let pending = self.faults.begin("depth", "")?;
        let now = self.clock.monotonic();
        let state = lock(&self.state);
        let mut depth = Depth {
            dead: state.dead.len() as u64,
            ..Depth::default()
        };
        for message in &state.messages {
            if message.visible_at <= now {
                depth.visible += 1;
            } else if message.receipt.is_some() {
                depth.in_flight += 1;
            } else {
                depth.delayed += 1;
            }
        }
        pending.end(depth)
    }

    fn longest_hold(&self) -> Duration {
        self.longest_hold
    }

    fn max_receives(&self) -> u32 {
        self.max_receives
    }
}
