//! Received messages, decoded and sorted by collection, until a worker takes them.

use std::collections::{BTreeMap, BTreeSet};

use compactor_core::CollectionName;
use compactor_core::message::{CompactionMessage, Decoded, Refused, decode};
use compactor_core::ports::{Delivery, Monotonic};

use crate::cycle::Context;
use crate::side_tasks::{About, SideTask, SideTasks};
use crate::{RunError, Unhandled, alarms};

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
    side_tasks: SideTasks,
}

/// What a record of the stream is called where the daemon does not act on it.
const STREAM_RECORD: (&str, &str) = ("COMPACTION_RUN", "stream record");

/// Types that are remembered: who sends chooses them.
const MOST_TYPES: usize = 100;

impl Inbox {
    /// Takes a delivery in. What is not about a run is acknowledged; what cannot be understood, or is
    /// not let in, goes to the dead-letter queue with the reason, never to the void.
    ///
    /// `since` is from before it was received: nothing may be held for longer than the queue allows.
    pub(crate) async fn accept(&mut self, context: &Context, delivery: Delivery, since: Monotonic) {
        let admission = &context.settings.admission;
        let task = match decode(&delivery.body, &delivery.attributes) {
            Ok(Decoded::Run(message)) => match admit(context, &delivery, &message) {
                Ok(()) => return self.wait(context, message, delivery, since),
                // The senders of this queue have no say about the run.
                Err(error @ RunError::OtherQueue { .. }) => SideTask::Refuse(error, None),
                Err(error) => {
                    let about = About {
                        key: message.key,
                        collection: message.collection,
                        prefix: Some(message.delta_prefix),
                    };
                    SideTask::Refuse(error, Some(about))
                }
            },
            Ok(Decoded::Inserted(run)) if admission.stream_records => {
                match admission.of_record(&run) {
                    Ok(()) => SideTask::Announce(run),
                    Err(error) => SideTask::Refuse(error, None),
                }
            }
            Ok(Decoded::Inserted(_)) => {
                return self
                    .unhandled(context, delivery, since, STREAM_RECORD)
                    .await;
            }
            Ok(Decoded::Unhandled {
                entity_type,
                event_name,
            }) => {
                let kind = (entity_type.as_str(), event_name.as_str());
                return self.unhandled(context, delivery, since, kind).await;
            }
            Ok(Decoded::Ignored {
                entity_type,
                event_name,
            }) => {
                self.say_once(&delivery.message_id, entity_type, event_name);
                return delete(context, &delivery, since).await;
            }
            Err(Refused { error, about }) => {
                let about = about.map(|about| {
                    let (key, collection) = *about;
                    About {
                        key,
                        collection,
                        prefix: None,
                    }
                });
                SideTask::Refuse(error.into(), about)
            }
        };
        self.side_tasks.begin(context, delivery, since, task);
    }

    /// A run that is let in waits for a worker.
    fn wait(
        &mut self,
        context: &Context,
        message: CompactionMessage,
        delivery: Delivery,
        since: Monotonic,
    ) {
        context.held.hold(&delivery, since);
        let since = context.ports.clock.monotonic();
        let waiting = self.waiting.entry(message.collection.clone()).or_default();
        waiting.push(ReceivedRun {
            message,
            delivery,
            since,
        });
    }

    /// What others act on, and the daemon does not.
    async fn unhandled(
        &mut self,
        context: &Context,
        delivery: Delivery,
        since: Monotonic,
        (entity_type, event_name): (&str, &str),
    ) {
        alarms::count(alarms::UNHANDLED);
        let (entity_type, event_name) = (entity_type.to_owned(), event_name.to_owned());
        match context.settings.unhandled {
            Unhandled::Acknowledge => {
                self.say_once(&delivery.message_id, entity_type, event_name);
                delete(context, &delivery, since).await;
            }
            Unhandled::DeadLetter => {
                let error = RunError::Unhandled {
                    entity_type,
                    event_name,
                };
                let task = SideTask::Refuse(error, None);
                self.side_tasks.begin(context, delivery, since, task);
            }
        }
    }

    /// Messages that are refused or announced just now.
    pub(crate) fn side_tasks(&mut self) -> &mut SideTasks {
        &mut self.side_tasks
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

    /// Puts runs back behind all others.
    pub(crate) fn put_last(&mut self, collection: &CollectionName, runs: Vec<ReceivedRun>) {
        if !runs.is_empty() {
            self.waiting
                .entry(collection.clone())
                .or_default()
                .extend(runs);
        }
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

/// Whether a run is taken: where each collection has its queue, others are unknown there.
fn admit(
    context: &Context,
    delivery: &Delivery,
    message: &CompactionMessage,
) -> Result<(), RunError> {
    let collection = &message.collection;
    let own = context.ports.queue.own_queues();
    match &delivery.of_queue {
        Some(of_queue) if of_queue != collection && own.contains(collection) => {
            Err(RunError::OtherQueue {
                collection: collection.to_string(),
                of_queue: of_queue.to_string(),
            })
        }
        _ if !own.is_empty() && !own.contains(collection) => Err(RunError::CollectionUnknown {
            collection: collection.to_string(),
        }),
        _ => context.settings.admission.of_run(message),
    }
}
