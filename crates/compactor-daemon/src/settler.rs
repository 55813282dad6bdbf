//! The only writer of run records and acknowledgements. It says what happened; who decides it is elsewhere.
//!
//! A record is written before its message is settled: a crash in between brings the message back, and never
//! loses a run.

use std::time::Duration;

use compactor_core::disposition::Resource;
use compactor_core::ports::{Completion, Delivery, Failure, PortResult};
use compactor_core::{CollectionName, RunKey, RunRecord, Work};
use compactor_snapshots::About as _;

use crate::context::Context;
use crate::ports::side_by_side;
use crate::{Result, metrics};

/// Settles work for one daemon.
#[derive(Clone, Copy)]
pub(crate) struct Settler<'c> {
    context: &'c Context,
}

impl<'c> Settler<'c> {
    pub(crate) fn new(context: &'c Context) -> Self {
        Self { context }
    }

    /// The record of a run. For a comparison only: a failure is logged, and counts as no record.
    pub(crate) async fn record_of(&self, run: &RunKey) -> Option<RunRecord> {
        match self.context.ports.runs.get(run).await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(run = %run.run_id, code = error.code(), %error, "cannot read the record of a run");
                None
            }
        }
    }

    /// Records that work began. For people: a failure is logged, and the work goes on.
    pub(crate) async fn start(&self, work: &Work, prefix: &str) {
        let (ports, key) = (&self.context.ports, work.id.record());
        let now = ports.clock.wall();
        let started = ports.runs.start(key, &work.collection, prefix, now).await;
        if let Err(error) = started {
            tracing::warn!(run = %key.run_id, code = error.code(), %error, "cannot record the start");
        }
    }

    /// Records that a published version contains the work.
    ///
    /// # Errors
    /// The record cannot be written: then the message must not be acknowledged.
    pub(crate) async fn complete(&self, work: &Work, completion: &Completion) -> Result<()> {
        let (ports, key) = (&self.context.ports, work.id.record());
        self.context
            .retry
            .call(|| ports.runs.complete(key, &work.collection, completion))
            .await
            .inspect_err(|_| metrics::count(metrics::RUN_STATE))
            .about(Resource::RunRecord)?;
        metrics::count(metrics::DELTAS_MERGED);
        tracing::info!(
            run = %key.run_id,
            version = %completion.version,
            merged = completion.merged_vectors,
            ignored = completion.ignored_operations,
            "run completed"
        );
        Ok(())
    }

    /// Records that an attempt failed.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(crate) async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()> {
        let runs = &self.context.ports.runs;
        let recorded = self
            .context
            .retry
            .call(|| runs.fail(key, collection, failure));
        recorded.await.inspect_err(|error| untold(key, error))
    }

    /// Records that a message was refused. In one call, for which a stop waits. A record that names another
    /// delta than `prefix` stays as it is: the message is not the run's own.
    ///
    /// # Errors
    /// The record cannot be read or written.
    pub(crate) async fn refuse(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: Option<&str>,
        reason: &str,
    ) -> PortResult<()> {
        let ports = &self.context.ports;
        let recorded = async {
            let record = ports.runs.get(key).await?;
            let part = record.as_ref().and_then(|one| one.parts.get(collection));
            let announced = prefix.unwrap_or_default();
            if part.is_some_and(|part| !part.prefix.is_empty() && part.prefix != announced) {
                return Ok(());
            }
            let failure = Failure {
                error: reason.to_owned(),
                at: ports.clock.wall(),
                for_good: true,
            };
            ports.runs.fail(key, collection, &failure).await
        };
        recorded.await.inspect_err(|error| untold(key, error))
    }

    /// Deletes the messages of recorded work. One that the queue does not delete stays hidden, and is
    /// deleted later.
    pub(crate) async fn acknowledge(&self, deliveries: impl Iterator<Item = &Delivery>) {
        let queue = &self.context.ports.queue;
        let calls = deliveries.map(|delivery| async {
            let receipt = &delivery.receipt;
            let answer = self.context.retry.call(|| queue.delete(receipt)).await;
            self.context.in_flight.was_deleted(receipt, answer);
        });
        side_by_side(calls).await;
    }

    /// Deletes the message of a record of the stream whose collections are announced.
    pub(crate) async fn delete(&self, delivery: &Delivery) {
        let queue = self.context.ports.queue.as_ref();
        let in_flight = &self.context.in_flight;
        in_flight.delete(queue, &delivery.receipt).await;
    }

    /// Moves a message to the dead-letter queue.
    pub(crate) async fn dead_letter(&self, delivery: &Delivery, reason: &str) {
        let queue = &self.context.ports.queue;
        if let Err(error) = queue.dead_letter(delivery, reason).await {
            // Its visibility ends, and the queue's own rule moves it.
            tracing::error!(code = error.code(), %error, "cannot dead-letter a message");
        }
        self.context.in_flight.let_go(&delivery.receipt);
    }

    /// Gives a message back; it may be received again after `delay`.
    pub(crate) async fn give_back(&self, delivery: &Delivery, delay: Duration) {
        let queue = self.context.ports.queue.as_ref();
        let in_flight = &self.context.in_flight;
        in_flight.give_back(queue, &delivery.receipt, delay).await;
    }

    /// Leaves a message until its visibility ends.
    pub(crate) async fn leave(&self, delivery: &Delivery) {
        let queue = self.context.ports.queue.as_ref();
        let in_flight = &self.context.in_flight;
        in_flight.leave(queue, &delivery.receipt).await;
    }
}

fn untold(key: &RunKey, error: &compactor_core::ports::PortError) {
    metrics::count(metrics::RUN_STATE);
    tracing::error!(run = %key.run_id, code = error.code(), %error, "cannot record the failure");
}
