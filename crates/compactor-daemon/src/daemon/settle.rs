//! What the daemon does when a cycle has ended: it keeps or gives back the runs that are left, and
//! decides when to try their collection again. It starts no cycle here.

use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::Monotonic;

use super::Work;
use crate::cycle::{Finished, Kept};
use crate::{RunError, waiting};

/// How long the daemon waits before it tries a failed flush again.
const FLUSH_PAUSE: Duration = Duration::from_secs(60);
/// A collection that an operator has to repair waits this many times the longest wait between
/// attempts: each attempt may upload a whole version.
const PAUSES: u32 = 10;
/// How long the daemon waits before it asks again for a collection that another worker holds.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// How many cycles have one run each after one with several runs panicked or ran out of space.
const ONE_BY_ONE: usize = 100;

impl Work {
    /// Takes in how a cycle ended. Returns the error for which the daemon keeps runs, if it keeps any.
    pub(super) async fn settle(
        &mut self,
        collection: &CollectionName,
        finished: Result<Finished, RunError>,
    ) -> Result<Option<RunError>, RunError> {
        self.busy.remove(collection);
        let Finished {
            outcome,
            busy,
            holder,
            postponed,
            kept,
        } = finished?;
        if busy.is_empty() {
            self.locked_out.forget(collection);
        } else {
            if let Some(holder) = holder {
                let now = self.context.ports.clock.monotonic();
                self.locked_out.hands_wait(collection, &holder, &busy, now);
            }
            self.pause(collection, BUSY_PAUSE);
            self.inbox.put_back(collection, busy);
            let waiting = self.inbox.take(collection, usize::MAX);
            let locked = self
                .locked_out
                .collections()
                .filter(|other| *other != collection);
            let locked = locked.map(|other| self.inbox.count(other)).sum();
            let patient = waiting::give_back_some(&self.context, waiting, locked).await;
            self.inbox.put_back(collection, patient);
        }
        self.inbox.put_back(collection, postponed);
        if outcome.one_by_one {
            self.alone.insert(collection.clone(), ONE_BY_ONE);
        }
        let now = self.context.ports.clock.monotonic();
        match (outcome.flush_due, self.unflushed.get_mut(collection)) {
            (Some(true), _) => {
                self.unflushed.insert(collection.clone(), now);
            }
            (Some(false), _) => {
                self.unflushed.remove(collection);
            }
            // It failed, or another worker is at it.
            (None, Some(until)) => *until = Monotonic(now.0.saturating_add(FLUSH_PAUSE)),
            (None, None) => {}
        }
        if outcome.published > 0 {
            self.cleaner.published(&self.context, collection);
        }
        self.summary.completed += outcome.completed;
        self.summary.failed += outcome.failed;
        self.summary.published += outcome.published;
        let Some(kept) = kept else {
            return Ok(None);
        };
        let pause = match kept.waits_for_someone() {
            true => self.context.settings.backoff.max.saturating_mul(PAUSES),
            false => self.context.settings.backoff.max,
        };
        let lets_others_pass = kept.is_out_of_space();
        let Kept { runs, trouble } = kept;
        tracing::error!(
            %collection,
            runs = runs.len(),
            code = trouble.code(),
            error = %trouble.describe(),
            help = trouble.help(),
            "no run is to blame: they are kept until it is over"
        );
        self.pause(collection, pause);
        let others = self.paused.keys().filter(|other| *other != collection);
        let others = others.map(|other| self.inbox.count(other)).sum();
        match lets_others_pass {
            // There may be room for one of those that wait.
            true => self.inbox.put_last(collection, runs),
            false => self.inbox.put_back(collection, runs),
        }
        let waiting = self.inbox.take(collection, usize::MAX);
        let kept = waiting::leave_room(&self.context, waiting, others).await;
        self.inbox.put_back(collection, kept);
        Ok(Some(trouble))
    }

    /// Begins nothing for the collection for this time, or somewhat less.
    fn pause(&mut self, collection: &CollectionName, time: Duration) {
        let ports = &self.context.ports;
        let time = time.mul_f64(0.5 + ports.ids.fraction() / 2.0);
        let until = Monotonic(ports.clock.monotonic().0.saturating_add(time));
        self.paused.insert(collection.clone(), until);
    }
}
