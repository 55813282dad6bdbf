//! What is done about messages that no cycle takes: they are refused, or announce other runs. It goes on
//! beside the receive loop, which must not wait for what a sender chose to send.

use std::sync::Arc;

use compactor_core::message::InsertedRun;
use compactor_core::ports::{Delivery, Failure, Monotonic, PortError, PortResult};
use compactor_core::{CollectionName, RunKey};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cycle::Context;
use crate::submit::announce_one;
use crate::{RunError, alarms};

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
    Refuse(RunError, Option<About>),
    /// Each collection of the record that is let in gets a message.
    Announce(InsertedRun),
}

/// The part of a run that a message is about, and the prefix of its delta, if the message has one.
pub(crate) struct About {
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
        context.held.hold(&delivery, since);
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

async fn refuse(context: &Context, delivery: &Delivery, error: &RunError, about: Option<About>) {
    let (ports, reason) = (&context.ports, error.describe());
    alarms::count(alarms::MESSAGE_PARSE);
    tracing::error!(message = delivery.message_id, %reason, "cannot be used");
    if let Some(about) = about
        && let Err(error) = fail(context, &about, &reason).await
    {
        tell_unrecorded(&about, &error);
        // The producer of the run looks at its record, not at dead letters.
        if delivery.receive_count < ports.queue.max_receives() {
            let queue = ports.queue.as_ref();
            return context.held.leave(queue, &delivery.receipt).await;
        }
    }
    if let Err(error) = ports.queue.dead_letter(delivery, &reason).await {
        tracing::error!(code = error.code(), %error, "cannot dead-letter a message");
    }
    context.held.let_go(&delivery.receipt);
}

fn tell_unrecorded(about: &About, error: &PortError) {
    alarms::count(alarms::RUN_STATE);
    tracing::error!(run = %about.key.run_id, code = error.code(), %error, "cannot record the failure");
}

/// Records the failure of a run, unless its record names another delta: then the message is not the
/// run's own, and the run is left as it is.
async fn fail(context: &Context, about: &About, reason: &str) -> PortResult<()> {
    let ports = &context.ports;
    let record = ports.runs.get(&about.key).await?;
    let part = record
        .as_ref()
        .and_then(|one| one.parts.get(&about.collection));
    let announced = about.prefix.as_deref().unwrap_or_default();
    if part.is_some_and(|part| !part.prefix.is_empty() && part.prefix != announced) {
        return Ok(());
    }
    let failure = Failure {
        error: reason.to_owned(),
        at: ports.clock.wall(),
        for_good: true,
    };
    // Once: a stop waits for it.
    ports
        .runs
        .fail(&about.key, &about.collection, &failure)
        .await
}

async fn announce(context: &Context, delivery: &Delivery, run: &InsertedRun) {
    let (ports, settings) = (&context.ports, &context.settings);
    let mut refused = None;
    // Where each collection has a queue, a pipe feeds each of them: a record is for the queue's own.
    let is_for = |collection: &CollectionName| {
        let of_queue = delivery.of_queue.as_ref();
        of_queue.is_none_or(|of_queue| of_queue == collection)
    };
    for (collection, prefix) in run.deltas.iter().filter(|(name, _)| is_for(name)) {
        let admitted = settings.admission.of_part(collection, prefix);
        if let Err(error) = admitted {
            let about = About {
                key: run.key.clone(),
                collection: collection.clone(),
                prefix: Some(prefix.clone()),
            };
            if let Err(error) = fail(context, &about, &error.describe()).await {
                tell_unrecorded(&about, &error);
            }
            refused.get_or_insert(error);
            continue;
        }
        let sent = match context.stop.is_cancelled() {
            true => Err(RunError::Stopping),
            false => announce_one(ports, &run.key, (collection, prefix), &run.region).await,
        };
        if let Err(error) = sent {
            tracing::warn!(run = %run.key.run_id, code = error.code(), %error, "cannot announce an inserted run; it comes back");
            let queue = ports.queue.as_ref();
            return context.held.leave(queue, &delivery.receipt).await;
        }
    }
    match refused {
        Some(error) => refuse(context, delivery, &error, None).await,
        None => {
            let queue = ports.queue.as_ref();
            context.held.delete(queue, &delivery.receipt).await;
        }
    }
}
