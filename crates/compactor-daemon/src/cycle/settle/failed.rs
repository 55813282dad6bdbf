//! What the daemon does with work that it did not merge. `disposition` decides: it gives the message back, keeps
//! it, leaves it until its visibility ends, or marks the run FAILED and dead-letters the message.

use std::time::Duration;

use compactor_core::ports::Failure;

use super::Settlement;
use crate::cycle::batch::{Item, Stage};
use crate::cycle::disposition::{self, Failed, Fate};
use crate::intake::ReceivedWork;
use crate::ports::side_by_side;
use crate::{Error, metrics};

impl Settlement<'_> {
    /// Fails all open work with the delta of the item `at`.
    pub(super) async fn fail_for_its_delta(&mut self, at: usize, error: Error) {
        for at in self.batch.members(at) {
            metrics::count(metrics::DELTA_MERGE);
            self.fail(at, Failed::Delta, &error).await;
        }
        self.blame(error);
    }

    /// Leaves all open work with the delta of the item `at` to another cycle.
    pub(super) fn postpone(&mut self, at: usize) {
        for at in self.batch.members(at) {
            let work = self.received(at);
            self.postponed.extend(work);
            self.batch.items[at].stage = Stage::Settled;
        }
    }

    /// Remembers why work was kept, if some was.
    pub(super) fn blame(&mut self, error: Error) {
        if !self.kept.is_empty() {
            self.trouble.get_or_insert(error);
        }
    }

    /// Gives all open work back; it may be received again after `delay`.
    pub(in crate::cycle) async fn give_back(&mut self, delay: Duration) {
        let settler = self.settler;
        let open = self.batch.open();
        let deliveries = open.flat_map(|(_, item)| &item.deliveries);
        side_by_side(deliveries.map(|delivery| settler.give_back(delivery, delay))).await;
        for kept in std::mem::take(&mut self.kept) {
            settler.give_back(&kept.delivery, delay).await;
        }
        for item in &mut self.batch.items {
            item.stage = Stage::Settled;
        }
    }

    /// Fails all open work with an error that is not that of one delta.
    pub(in crate::cycle) async fn fail_unsettled(&mut self, error: Error) {
        tracing::error!(code = error.code(), error = %error.describe(), "the cycle failed");
        let has_panicked = self.merges && error.is_panic();
        let is_full = error.is_out_of_space();
        let (mut error, mut failed) = (error, Failed::Cycle);
        match self.batch.locations().as_slice() {
            [_] if has_panicked => failed = Failed::Delta,
            [(at, location)] if is_full => {
                if let Some(delta) = self.batch.items[*at].on_disk() {
                    error = self.room.blame(error, delta.bytes, &location.prefix);
                }
                if matches!(error, Error::DeltaRoom { .. }) {
                    failed = Failed::Delta;
                }
            }
            locations => self.outcome.one_by_one = (has_panicked || is_full) && locations.len() > 1,
        }
        self.outcome.is_out_of_space |= is_full;
        for at in self.batch.open_places() {
            self.fail(at, failed, &error).await;
        }
        self.blame(error);
    }

    /// Neither records nor acknowledges anything; visibility brings the messages back.
    pub(in crate::cycle) async fn leave(&mut self, error: &Error) {
        tracing::error!(code = error.code(), %error, "leaving the messages to the next attempt");
        for at in 0..self.batch.items.len() {
            self.leave_one(at).await;
        }
    }

    /// Back to the queue or kept, as PENDING; or FAILED and to the dead-letter queue.
    pub(super) async fn fail(&mut self, at: usize, failed: Failed, error: &Error) {
        let (ports, settings) = (&self.context.ports, &self.context.settings);
        let reason = self.reason(at, error);
        let item = &self.batch.items[at];
        let key = item.work.id.record();
        let (receives, max_receives) = (item.receives(), ports.queue.max_receives());
        let fate = disposition::decide(failed, error, receives, max_receives);
        let failure = Failure {
            error: reason.clone(),
            at: ports.clock.wall(),
            for_good: fate == Fate::DeadLetter,
        };
        let recorded = self.settler.fail(key, &self.collection, &failure);
        let fate = match recorded.await {
            Ok(()) => fate,
            Err(_) => fate.unrecorded(receives, max_receives),
        };
        // With the paths of this machine, where they can be looked at.
        tracing::warn!(run = %key.run_id, error = %error.describe(), verdict = ?fate, "the run failed");
        self.outcome.failed += 1;
        match fate {
            Fate::GiveBack => {
                let fraction = ports.ids.fraction();
                let delay = settings.backoff.delay(receives.saturating_sub(1), fraction);
                for delivery in self.deliveries(at) {
                    self.settler.give_back(delivery, delay).await;
                }
                self.batch.items[at].stage = Stage::Settled;
            }
            Fate::Keep => self.keep(at),
            Fate::DeadLetter => self.dead_letter(at, &reason).await,
        }
    }

    /// Keeps work in flight until some trouble is over.
    pub(super) fn keep(&mut self, at: usize) {
        let work = self.received(at);
        self.kept.extend(work);
        self.batch.items[at].stage = Stage::Settled;
    }

    /// The item `at` as it waits for a cycle.
    fn received(&self, at: usize) -> Vec<ReceivedWork> {
        let Item {
            work, deliveries, ..
        } = &self.batch.items[at];
        let since = self.context.ports.clock.monotonic();
        let received = deliveries.iter().map(|delivery| ReceivedWork {
            work: work.clone(),
            delivery: delivery.clone(),
            since,
        });
        received.collect()
    }

    pub(super) async fn dead_letter(&mut self, at: usize, reason: &str) {
        for delivery in self.deliveries(at) {
            self.settler.dead_letter(delivery, reason).await;
        }
        self.batch.items[at].stage = Stage::Settled;
    }

    /// Leaves the messages of the item `at` until their visibility ends.
    pub(super) async fn leave_one(&mut self, at: usize) {
        for delivery in self.deliveries(at) {
            self.settler.leave(delivery).await;
        }
        self.batch.items[at].stage = Stage::Settled;
    }
}
