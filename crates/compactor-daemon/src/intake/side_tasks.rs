//! Messages that no cycle takes: they are refused, or announce other runs. That goes on beside the receive
//! loop, which must not wait for what a sender chose to send.

use std::sync::Arc;

use compactor_core::message::InsertedRun;
use compactor_core::ports::{Delivery, Monotonic, PortResult};
use compactor_core::{CollectionName, RunKey};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::announce::announce_one;
use crate::context::Context;
use crate::settler::Settler;
use crate::{Error, metrics};

/// How many messages are worked on at the same time.
const AT_ONCE: usize = 8;

/// Messages that are being refused or announced. The daemon holds them until that is done.
pub(crate) struct SideTasks {
    tasks: JoinSet<()>,
    slots: Arc<Semaphore>,
}

impl Default for SideTasks {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// What is to be done about a message.
pub(crate) enum SideTask {
    /// No receive makes it better: it goes to the dead-letter queue, and its run is FAILED, if it names
    /// one. While that cannot be recorded, the message comes back.
    Refuse(Error, Option<Refused>),
    /// Each collection of the record that is let in gets a message.
    Announce(InsertedRun),
}

/// The part of a run that a message is about, and the prefix of its delta, if the message has one.
pub(crate) struct Refused {
    pub(crate) key: RunKey,
    pub(crate) collection: CollectionName,
    pub(crate) prefix: Option<String>,
}

impl SideTasks {
    /// Begins with a message that was received after `since`.
    pub(crate) fn begin(
        &mut self,
        context: &Context,
        delivery: Delivery,
        since: Monotonic,
        task: SideTask,
    ) {
        while self.tasks.try_join_next().is_some() {}
        context.in_flight.hold(&delivery, since);
        let (context, slots) = (context.clone(), Arc::clone(&self.slots));
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            match task {
                SideTask::Refuse(error, about) => refuse(&context, &delivery, &error, about).await,
                SideTask::Announce(run) => announce(&context, &delivery, &run).await,
            }
        });
    }

    /// Waits until one has ended; `None` if none is under way.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.tasks.join_next().await.map(drop)
    }
}

async fn refuse(context: &Context, delivery: &Delivery, error: &Error, run: Option<Refused>) {
    let (settler, reason) = (Settler::new(context), error.describe());
    metrics::count(metrics::MESSAGE_PARSE);
    tracing::error!(message = delivery.message_id, %reason, "cannot be used");
    if let Some(run) = run
        && record(&settler, &run, &reason).await.is_err()
        // The producer of the run looks at its record, not at dead letters.
        && delivery.receive_count < context.ports.queue.max_receives()
    {
        return settler.leave(delivery).await;
    }
    settler.dead_letter(delivery, &reason).await;
}

async fn record(settler: &Settler<'_>, run: &Refused, reason: &str) -> PortResult<()> {
    let prefix = run.prefix.as_deref();
    settler
        .refuse(&run.key, &run.collection, prefix, reason)
        .await
}

async fn announce(context: &Context, delivery: &Delivery, run: &InsertedRun) {
    let (ports, settler) = (&context.ports, Settler::new(context));
    let mut refused = None;
    // Where each collection has a queue, a pipe feeds each of them: a record is for the queue's own.
    let is_for = |collection: &CollectionName| {
        let of_queue = delivery.of_queue.as_ref();
        of_queue.is_none_or(|of_queue| of_queue == collection)
    };
    for (collection, prefix) in run.deltas.iter().filter(|(name, _)| is_for(name)) {
        let admitted = context.settings.admission.of_part(collection, prefix);
        if let Err(error) = admitted {
            let part = Refused {
                key: run.key.clone(),
                collection: collection.clone(),
                prefix: Some(prefix.clone()),
            };
            // The message is dead-lettered for it in any case; the settler logs the failure.
            let _ = record(&settler, &part, &error.describe()).await;
            refused.get_or_insert(error);
            continue;
        }
        let sent = match context.stop.is_cancelled() {
            true => Err(Error::Stopping),
            false => announce_one(ports, &run.key, (collection, prefix), &run.region).await,
        };
        if let Err(error) = sent {
            tracing::warn!(run = %run.key.run_id, code = error.code(), %error, "cannot announce an inserted run; it comes back");
            return settler.leave(delivery).await;
        }
    }
    match refused {
        Some(error) => refuse(context, delivery, &error, None).await,
        None => settler.delete(delivery).await,
    }
}
