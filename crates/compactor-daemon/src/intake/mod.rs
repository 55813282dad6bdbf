//! From the queue to work: messages are polled, decoded, let in or refused, and held in flight until they are
//! settled.
//!
//! Nothing here starts a cycle or keeps work waiting: what is let in goes to the collection's state.

pub(crate) mod contention;
mod poll;
mod queue_rights;
mod side_tasks;

use std::collections::BTreeSet;

use compactor_core::Work;
use compactor_core::message::{CompactionMessage, Decoded, Refused, decode};
use compactor_core::ports::{Delivery, Monotonic};

use crate::context::Context;
use crate::{Error, Result, Unhandled, metrics};

pub(crate) use poll::{Look, Poll, Polled};
pub use queue_rights::check_queue_rights;
pub(crate) use side_tasks::{Refused as RefusedRun, SideTask, SideTasks};

/// Work, and the delivery that brought it.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedWork {
    pub(crate) work: Work,
    pub(crate) delivery: Delivery,
    /// When this worker let it in.
    pub(crate) since: Monotonic,
}

/// Decides about each message.
#[derive(Default)]
pub(crate) struct Intake {
    /// Types of messages, with their events, that the log tells of already.
    acknowledged: BTreeSet<(String, String)>,
    side_tasks: SideTasks,
}

/// What a record of the stream is called where the daemon does not act on it.
const STREAM_RECORD: (&str, &str) = ("COMPACTION_RUN", "stream record");

/// Most types that are remembered: senders choose them.
const MOST_TYPES: usize = 100;

impl Intake {
    /// Takes a delivery in. Work that is let in is returned. A message that is not about a run is
    /// acknowledged. One that cannot be decoded, or is not let in, goes to the dead-letter queue with the
    /// reason; none is dropped.
    ///
    /// `since` is from before it was received: a queue limits how long a message may be held.
    pub(crate) async fn accept(
        &mut self,
        context: &Context,
        delivery: Delivery,
        since: Monotonic,
    ) -> Option<ReceivedWork> {
        let admission = &context.settings.admission;
        let task = match decode(&delivery.body, &delivery.attributes) {
            Ok(Decoded::Run(message)) => match admit(context, &delivery, &message) {
                Ok(()) => return Some(hold(context, message.into(), delivery, since)),
                // The senders of this queue have no say about the run.
                Err(error @ Error::OtherQueue { .. }) => SideTask::Refuse(error, None),
                Err(error) => {
                    let run = RefusedRun {
                        key: message.key,
                        collection: message.collection,
                        prefix: Some(message.delta_prefix),
                    };
                    SideTask::Refuse(error, Some(run))
                }
            },
            Ok(Decoded::Inserted(run)) if admission.stream_records => {
                match admission.of_record(&run) {
                    Ok(()) => SideTask::Announce(run),
                    Err(error) => SideTask::Refuse(error, None),
                }
            }
            Ok(Decoded::Inserted(_)) => {
                self.unhandled(context, delivery, since, STREAM_RECORD)
                    .await;
                return None;
            }
            Ok(Decoded::Unhandled {
                entity_type,
                event_name,
            }) => {
                let kind = (entity_type.as_str(), event_name.as_str());
                self.unhandled(context, delivery, since, kind).await;
                return None;
            }
            Ok(Decoded::Ignored {
                entity_type,
                event_name,
            }) => {
                self.say_once(&delivery.message_id, entity_type, event_name);
                acknowledge(context, &delivery, since).await;
                return None;
            }
            Err(Refused { error, about }) => {
                let run = about.map(|about| {
                    let (key, collection) = *about;
                    RefusedRun {
                        key,
                        collection,
                        prefix: None,
                    }
                });
                SideTask::Refuse(error.into(), run)
            }
        };
        self.side_tasks.begin(context, delivery, since, task);
        None
    }

    /// Settles a message that other consumers act on, and the daemon does not.
    async fn unhandled(
        &mut self,
        context: &Context,
        delivery: Delivery,
        since: Monotonic,
        (entity_type, event_name): (&str, &str),
    ) {
        metrics::count(metrics::UNHANDLED);
        let (entity_type, event_name) = (entity_type.to_owned(), event_name.to_owned());
        match context.settings.unhandled {
            Unhandled::Acknowledge => {
                self.say_once(&delivery.message_id, entity_type, event_name);
                acknowledge(context, &delivery, since).await;
            }
            Unhandled::DeadLetter => {
                let error = Error::Unhandled {
                    entity_type,
                    event_name,
                };
                let task = SideTask::Refuse(error, None);
                self.side_tasks.begin(context, delivery, since, task);
            }
        }
    }

    /// Messages that are being refused or announced.
    pub(crate) fn side_tasks(&mut self) -> &mut SideTasks {
        &mut self.side_tasks
    }

    /// Counts a message that is acknowledged, and logs it once per type.
    fn say_once(&mut self, message: &str, entity_type: String, event_name: String) {
        metrics::count(metrics::ACKNOWLEDGED);
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
}

fn hold(context: &Context, work: Work, delivery: Delivery, since: Monotonic) -> ReceivedWork {
    context.in_flight.hold(&delivery, since);
    ReceivedWork {
        work,
        delivery,
        since: context.ports.clock.monotonic(),
    }
}

/// Deletes a message that no cycle works on.
async fn acknowledge(context: &Context, delivery: &Delivery, since: Monotonic) {
    context.in_flight.hold(delivery, since);
    let queue = context.ports.queue.as_ref();
    context.in_flight.delete(queue, &delivery.receipt).await;
}

/// Whether a run is let in. Where each collection has its own queue, a collection without one is unknown.
fn admit(context: &Context, delivery: &Delivery, message: &CompactionMessage) -> Result<()> {
    let collection = &message.collection;
    let own = context.ports.queue.own_queues();
    match &delivery.of_queue {
        Some(of_queue) if of_queue != collection && own.contains(collection) => {
            Err(Error::OtherQueue {
                collection: collection.to_string(),
                of_queue: of_queue.to_string(),
            })
        }
        _ if !own.is_empty() && !own.contains(collection) => Err(Error::CollectionUnknown {
            collection: collection.to_string(),
        }),
        _ => context.settings.admission.of_run(message),
    }
}
