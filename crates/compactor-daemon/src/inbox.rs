//! Received messages, decoded and sorted by collection, until a worker takes them.

use std::collections::{BTreeMap, BTreeSet};

use compactor_core::message::{CompactionMessage, Decoded, Refused, decode};
use compactor_core::ports::{Delivery, Failure, Monotonic};
use compactor_core::{CollectionName, RunKey};

use crate::cycle::Context;
use crate::submit::announce_some;
use crate::{Ports, RunError, Unhandled, alarms};

/// A message about a run, and the delivery that brought it.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRun {
    pub(crate) message: CompactionMessage,
    pub(crate) delivery: Delivery,
    /// When it came into our hands.
    pub(crate) since: Monotonic,
}

/// Runs that wait for a worker.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: BTreeMap<CollectionName, Vec<ReceivedRun>>,
    /// Types of messages, with their events, that were said to be acknowledged.
    acknowledged: BTreeSet<(String, String)>,
}

/// Types that are remembered: who sends chooses them.
const MOST_TYPES: usize = 100;

impl Inbox {
    /// Takes a delivery in. What is not about a run is acknowledged; what cannot be understood
    /// goes to the dead-letter queue with the reason, never to the void.
    ///
    /// `since` is from before it was received: nothing may be held for longer than the queue allows.
    pub(crate) async fn accept(&mut self, context: &Context, delivery: Delivery, since: Monotonic) {
        let ports = &context.ports;
        match decode(&delivery.body, &delivery.attributes) {
            Ok(Decoded::Run(message)) => {
                if let Err(error) = known(ports, [&message.collection]) {
                    let about = (message.key, message.collection);
                    return refuse(context, &delivery, &error, Some(about)).await;
                }
                context.held.hold(&delivery, since);
                let since = ports.clock.monotonic();
                let waiting = self.waiting.entry(message.collection.clone()).or_default();
                waiting.push(ReceivedRun {
                    message,
                    delivery,
                    since,
                });
            }
            Ok(Decoded::Inserted(run)) => {
                let (known, unknown): (Vec<_>, Vec<_>) = run
                    .deltas
                    .iter()
                    .map(|(name, _)| name.clone())
                    .partition(|name| self::known(ports, [name]).is_ok());
                let announced = announce_some(ports, &run, &known).await;
                match (announced, unknown.into_iter().next()) {
                    (Ok(()), Some(unknown)) => {
                        let error = RunError::CollectionUnknown {
                            collection: unknown.to_string(),
                        };
                        let about = (run.key, unknown);
                        refuse(context, &delivery, &error, Some(about)).await;
                    }
                    (Ok(()), None) => delete(context, &delivery, since).await,
                    (Err(error), _) => {
                        tracing::warn!(run = %run.key.run_id, code = error.code(), %error, "cannot announce an inserted run; it comes back");
                    }
                }
            }
            Ok(Decoded::Unhandled {
                entity_type,
                event_name,
            }) => {
                alarms::count(alarms::UNHANDLED);
                match context.settings.unhandled {
                    Unhandled::Acknowledge => {
                        self.say_once(delivery.message_id.as_str(), entity_type, event_name);
                        delete(context, &delivery, since).await;
                    }
                    Unhandled::DeadLetter => {
                        let error = RunError::Unhandled {
                            entity_type,
                            event_name,
                        };
                        refuse(context, &delivery, &error, None).await;
                    }
                }
            }
            Ok(Decoded::Ignored {
                entity_type,
                event_name,
            }) => {
                self.say_once(delivery.message_id.as_str(), entity_type, event_name);
                delete(context, &delivery, since).await;
            }
            Err(Refused { error, about }) => {
                let about = about.map(|about| *about);
                refuse(context, &delivery, &RunError::from(error), about).await;
            }
        }
    }

    /// Counts what is acknowledged, and logs it once per type.
    fn say_once(&mut self, message: &str, entity_type: String, event_name: String) {
        alarms::count(alarms::ACKNOWLEDGED);
        let kind = (entity_type, event_name);
        if self.acknowledged.len() < MOST_TYPES && !self.acknowledged.contains(&kind) {
            tracing::info!(
                message,
                entity_type = kind.0,
                event_name = kind.1,
                "not about a run: acknowledged, as others of this type will be"
            );
            self.acknowledged.insert(kind);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The collections that have runs waiting.
    pub(crate) fn collections(&self) -> Vec<CollectionName> {
        self.waiting.keys().cloned().collect()
    }

    /// How many runs of a collection wait.
    pub(crate) fn count(&self, collection: &CollectionName) -> usize {
        self.waiting.get(collection).map_or(0, Vec::len)
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
        if runs.is_empty() {
            return;
        }
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

/// Deletes a message that was never in a worker's hands.
async fn delete(context: &Context, delivery: &Delivery, since: Monotonic) {
    context.held.hold(delivery, since);
    let queue = context.ports.queue.as_ref();
    context.held.delete(queue, &delivery.receipt).await;
}

/// Where each collection has its queue, others are unknown.
fn known<'c>(
    ports: &Ports,
    collections: impl IntoIterator<Item = &'c CollectionName>,
) -> Result<(), RunError> {
    let own = ports.queue.own_queues();
    let mut collections = collections.into_iter();
    match collections.find(|collection| !own.is_empty() && !own.contains(collection)) {
        Some(unknown) => Err(RunError::CollectionUnknown {
            collection: unknown.to_string(),
        }),
        None => Ok(()),
    }
}

/// Dead-letters a message that no receive makes better; its run is FAILED, if it names one. While that
/// cannot be recorded, the message comes back.
async fn refuse(
    context: &Context,
    delivery: &Delivery,
    error: &RunError,
    about: Option<(RunKey, CollectionName)>,
) {
    let (ports, reason) = (&context.ports, error.describe());
    alarms::count(alarms::MESSAGE_PARSE);
    tracing::error!(message = delivery.message_id, %reason, "cannot be used");
    if let Some((key, collection)) = about {
        let at = ports.clock.wall();
        // Once: the next message waits for it, and so does a stop.
        let failure = Failure {
            error: reason.clone(),
            at,
            for_good: true,
        };
        let failed = ports.runs.fail(&key, &collection, &failure);
        if let Err(error) = failed.await {
            alarms::count(alarms::RUN_STATE);
            tracing::error!(run = %key.run_id, code = error.code(), %error, "cannot record the failure");
            // Whoever waits for the run looks at its record, not at dead letters.
            if delivery.receive_count < ports.queue.max_receives() {
                return;
            }
        }
    }
    if let Err(error) = ports.queue.dead_letter(delivery, &reason).await {
        tracing::error!(code = error.code(), %error, "cannot dead-letter a message");
    }
}
