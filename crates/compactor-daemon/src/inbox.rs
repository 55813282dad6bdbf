//! Received messages, decoded and sorted by collection, until a worker takes them.

use std::collections::BTreeMap;

use compactor_core::CollectionName;
use compactor_core::message::{CompactionMessage, Decoded, decode};
use compactor_core::ports::{Delivery, Monotonic};

use crate::cycle::Context;
use crate::submit::announce_all;
use crate::{RunError, alarms};

/// A message about a run, and the delivery that brought it.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRun {
    pub(crate) message: CompactionMessage,
    pub(crate) delivery: Delivery,
    /// When it was received.
    pub(crate) since: Monotonic,
}

/// Runs that wait for a worker.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: BTreeMap<CollectionName, Vec<ReceivedRun>>,
}

impl Inbox {
    /// Takes a delivery in. What is not about a run is acknowledged; what cannot be understood
    /// goes to the dead-letter queue with the reason, never to the void.
    pub(crate) async fn accept(&mut self, context: &Context, delivery: Delivery) {
        match decode(&delivery.body, &delivery.attributes) {
            Ok(Decoded::Run(message)) => {
                let since = context.ports.clock.monotonic();
                context.held.hold(&delivery, since);
                let waiting = self.waiting.entry(message.collection.clone()).or_default();
                waiting.push(ReceivedRun {
                    message,
                    delivery,
                    since,
                });
            }
            Ok(Decoded::Inserted(run)) => {
                let announced = announce_all(&context.ports, &run).await;
                let outcome = match announced {
                    Ok(()) => {
                        let deleted = context.ports.queue.delete(&delivery.receipt).await;
                        deleted.map(drop).map_err(RunError::from)
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    tracing::warn!(run = %run.key.run_id, code = error.code(), %error, "cannot announce an inserted run; it comes back");
                }
            }
            Ok(Decoded::Ignored {
                entity_type,
                event_name,
            }) => {
                tracing::info!(
                    message = delivery.message_id,
                    entity_type,
                    event_name,
                    "not about a run: acknowledged"
                );
                if let Err(error) = context.ports.queue.delete(&delivery.receipt).await {
                    tracing::warn!(code = error.code(), %error, "cannot delete a message");
                }
            }
            Err(error) => {
                let reason = RunError::from(error).describe();
                alarms::count(alarms::MESSAGE_PARSE);
                tracing::error!(message = delivery.message_id, %reason, "cannot be understood: dead-lettered");
                if let Err(error) = context.ports.queue.dead_letter(&delivery, &reason).await {
                    tracing::error!(code = error.code(), %error, "cannot dead-letter a message");
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The collections that have runs waiting.
    pub(crate) fn collections(&self) -> Vec<CollectionName> {
        self.waiting.keys().cloned().collect()
    }

    /// Takes at most `limit` runs of a collection, oldest first.
    pub(crate) fn take(&mut self, collection: &CollectionName, limit: usize) -> Vec<ReceivedRun> {
        let Some(waiting) = self.waiting.get_mut(collection) else {
            return Vec::new();
        };
        let taken: Vec<_> = waiting.drain(..limit.min(waiting.len())).collect();
        if waiting.is_empty() {
            self.waiting.remove(collection);
        }
        taken
    }

    /// Puts runs back that a worker could not begin with, before those that came since.
    pub(crate) fn put_back(&mut self, collection: &CollectionName, runs: Vec<ReceivedRun>) {
        self.waiting
            .entry(collection.clone())
            .or_default()
            .splice(..0, runs);
    }

    /// Takes everything.
    pub(crate) fn take_all(&mut self) -> Vec<ReceivedRun> {
        std::mem::take(&mut self.waiting)
            .into_values()
            .flatten()
            .collect()
    }
}
