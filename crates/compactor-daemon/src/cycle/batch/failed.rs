//! What the daemon does with a run that it did not merge. [`verdict`] decides: the daemon gives the
//! message back, keeps it, leaves it until its visibility ends, or marks the run FAILED and
//! dead-letters the message.

use std::time::Duration;

use compactor_core::ports::Failure;

use super::{Batch, Entry};
use crate::cycle::verdict::{self, Failed, Verdict};
use crate::inbox::ReceivedRun;
use crate::patience::persist;
use crate::together::together;
use crate::{RunError, alarms};

impl Batch<'_> {
    /// Fails all open runs of the delta that the run `at` is the first of.
    pub(super) async fn fail_for_its_delta(&mut self, at: usize, error: RunError) {
        for at in self.members(at) {
            alarms::count(alarms::DELTA_MERGE);
            self.fail(at, Failed::Delta, &error).await;
        }
        self.blame(error);
    }

    /// Leaves all open runs of a delta to another cycle.
    pub(super) fn postpone(&mut self, at: usize) {
        for at in self.members(at) {
            let runs = self.received(at);
            self.postponed.extend(runs);
            self.entries[at].settled = true;
        }
    }

    /// Remembers why runs were kept, if they were.
    pub(super) fn blame(&mut self, error: RunError) {
        if !self.kept.is_empty() {
            self.trouble.get_or_insert(error);
        }
    }

    /// Gives every open run back; it may be received again after `delay`.
    pub(in crate::cycle) async fn give_back(&mut self, delay: Duration) {
        let open = self.entries.iter().filter(|entry| !entry.settled);
        let calls = open.map(|entry| self.release(entry, delay));
        together(calls.collect()).await;
        let (queue, held) = (self.context.ports.queue.as_ref(), &self.context.held);
        for run in std::mem::take(&mut self.kept) {
            held.give_back(queue, &run.delivery.receipt, delay).await;
        }
        for entry in &mut self.entries {
            entry.settled = true;
        }
    }

    /// Fails every open run with an error that is not any single run's.
    pub(in crate::cycle) async fn fail_open(&mut self, error: RunError) {
        tracing::error!(code = error.code(), error = %error.describe(), "the cycle failed");
        let has_panicked = self.is_merging && matches!(error, RunError::Task { .. });
        let is_full = error.is_out_of_space();
        let (mut error, mut failed) = (error, Failed::Cycle);
        match self.places().as_slice() {
            [_] if has_panicked => failed = Failed::Delta,
            [(at, location)] if is_full => {
                if let Some(delta) = &self.entries[*at].delta {
                    error = self.room.blame(error, delta.bytes, &location.prefix);
                }
                if matches!(error, RunError::DeltaRoom { .. }) {
                    failed = Failed::Delta;
                }
            }
            places => self.outcome.one_by_one = (has_panicked || is_full) && places.len() > 1,
        }
        if is_full {
            self.context.kept.remove_all();
        }
        for at in 0..self.entries.len() {
            if !self.entries[at].settled {
                self.fail(at, failed, &error).await;
            }
        }
        self.blame(error);
    }

    /// Neither records nor acknowledges anything; visibility brings the messages back.
    pub(in crate::cycle) async fn leave(&mut self, error: &RunError) {
        tracing::error!(code = error.code(), %error, "leaving the messages to the next attempt");
        for at in 0..self.entries.len() {
            self.forget(at).await;
        }
    }

    /// Back to the queue or kept, as PENDING; or FAILED and to the dead-letter queue.
    pub(super) async fn fail(&mut self, at: usize, failed: Failed, error: &RunError) {
        let (ports, settings) = (&self.context.ports, &self.context.settings);
        let reason = self.reason(at, error);
        let entry = &self.entries[at];
        let run = &entry.message.key;
        let (receives, max_receives) = (entry.receives(), ports.queue.max_receives());
        let verdict = verdict::decide(failed, error, receives, max_receives);
        let now = ports.clock.wall();
        let failure = Failure {
            error: reason.clone(),
            at: now,
            for_good: verdict == Verdict::DeadLetter,
        };
        let recorded = persist(ports, settings, || {
            ports.runs.fail(run, &self.collection, &failure)
        });
        let verdict = match recorded.await {
            Ok(_) => verdict,
            Err(error) => {
                alarms::count(alarms::RUN_STATE);
                tracing::error!(run = %run.run_id, code = error.code(), %error, "cannot record the failure");
                verdict.unrecorded(receives, max_receives)
            }
        };
        // Here its paths can be looked at.
        tracing::warn!(run = %run.run_id, error = %error.describe(), ?verdict, "the run failed");
        self.outcome.failed += 1;
        match verdict {
            Verdict::GiveBack => {
                let fraction = ports.ids.fraction();
                let delay = settings.backoff.delay(receives.saturating_sub(1), fraction);
                self.release(&self.entries[at], delay).await;
            }
            Verdict::Keep => self.keep(at),
            Verdict::DeadLetter => self.dead_letter(at, &reason).await,
        }
        self.entries[at].settled = true;
    }

    pub(super) fn keep(&mut self, at: usize) {
        let runs = self.received(at);
        self.kept.extend(runs);
    }

    /// The run `at` as it waits for a cycle.
    fn received(&self, at: usize) -> Vec<ReceivedRun> {
        let Entry {
            message,
            deliveries,
            ..
        } = &self.entries[at];
        let since = self.context.ports.clock.monotonic();
        let runs = deliveries.iter().map(|delivery| ReceivedRun {
            message: message.clone(),
            delivery: delivery.clone(),
            since,
        });
        runs.collect()
    }

    pub(super) async fn dead_letter(&self, at: usize, reason: &str) {
        for delivery in &self.entries[at].deliveries {
            let queue = &self.context.ports.queue;
            if let Err(error) = queue.dead_letter(delivery, reason).await {
                // Its visibility ends, and the queue's own rule moves it.
                tracing::error!(code = error.code(), %error, "cannot dead-letter a message");
            }
            self.context.held.let_go(&delivery.receipt);
        }
    }

    pub(super) async fn release(&self, entry: &Entry, delay: Duration) {
        for delivery in &entry.deliveries {
            let queue = self.context.ports.queue.as_ref();
            let held = &self.context.held;
            held.give_back(queue, &delivery.receipt, delay).await;
        }
    }

    pub(super) async fn forget(&mut self, at: usize) {
        for delivery in &self.entries[at].deliveries {
            let queue = self.context.ports.queue.as_ref();
            self.context.held.leave(queue, &delivery.receipt).await;
        }
        self.entries[at].settled = true;
    }
}
