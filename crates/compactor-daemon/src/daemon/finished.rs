//! What the daemon does when a cycle has ended: it keeps or gives back the work that is left, and decides when to
//! try the collection again. It starts no cycle here.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::ports::Monotonic;
use compactor_core::{CollectionName, Lineage};
use compactor_snapshots::{Sweep, SweepMode};

use super::dispatch::{Dispatcher, EndedCycle};
use crate::collection::{LastCycle, PauseReason, Phase, later};
use crate::cycle::{Finished, KeptWork};
use crate::intake::contention;
use crate::{Error, Result};

/// How long the daemon waits before it tries a failed flush again.
const FLUSH_PAUSE: Duration = Duration::from_secs(60);
/// A collection that an operator has to repair waits this many times the longest wait between attempts: each
/// attempt may upload a whole version.
const PAUSES: u32 = 10;
/// How long the daemon waits before it asks again for a collection that another worker holds.
const CONTENTION_PAUSE: Duration = Duration::from_secs(1);
/// How many cycles have one run each after one with several runs panicked or ran out of space.
const ONE_BY_ONE: usize = 100;

impl Dispatcher {
    /// Takes in how a cycle ended. Returns the error for which the daemon keeps work, if it keeps some.
    ///
    /// # Errors
    /// What must end the daemon.
    pub(super) async fn finish(&mut self, ended: EndedCycle) -> Result<Option<Error>> {
        let EndedCycle {
            collection,
            memory,
            finished,
        } = ended;
        let state = self.collections.get(&collection);
        state.phase = Phase::Idle;
        state.memory = memory;
        let Finished {
            outcome,
            contended,
            postponed,
            kept,
        } = finished?;
        match contended.filter(|(work, _)| !work.is_empty()) {
            None => state.contention = None,
            Some((work, holder)) => {
                let now = self.context.ports.clock.monotonic();
                let contention = state.contention.get_or_insert_default();
                contention.work_waits(&collection, &holder, &work, now);
                state.put_first(work);
                let waiting = std::mem::take(&mut state.waiting);
                self.pause(&collection, CONTENTION_PAUSE, PauseReason::LockContention);
                let locked = self.collections.waiting_for_locks(&collection);
                let left = contention::give_back_some(&self.context, waiting, locked).await;
                self.collections.get(&collection).put_first(left);
            }
        }
        let now = self.context.ports.clock.monotonic();
        let state = self.collections.get(&collection);
        state.put_first(postponed);
        if outcome.one_by_one {
            state.one_by_one = ONE_BY_ONE;
        }
        state.flush_due = match outcome.flush_due {
            Some(true) => Some(now),
            Some(false) => None,
            // It failed, or another worker is at it.
            None => state.flush_due.map(|_| later(now, FLUSH_PAUSE)),
        };
        state.last_cycle = Some(LastCycle {
            completed: outcome.completed,
            failed: outcome.failed,
            published: outcome.published > 0,
        });
        if outcome.is_out_of_space {
            let copies = self.collections.take_working_copies();
            tokio::task::spawn_blocking(move || drop(copies));
        }
        if outcome.published > 0 {
            self.sweep_if_due(&collection, now);
        }
        self.summary.completed += outcome.completed;
        self.summary.failed += outcome.failed;
        self.summary.published += outcome.published;
        let trouble = match kept {
            Some(kept) => Some(self.keep(&collection, kept).await?),
            None => None,
        };
        self.collections.forget_if_idle(&collection);
        Ok(trouble)
    }

    /// Keeps work until some trouble is over.
    async fn keep(&mut self, collection: &CollectionName, kept: KeptWork) -> Result<Error> {
        let longest = self.context.settings.backoff.max;
        let (pause, why) = match kept.waits_for_operator() {
            true => (
                longest.saturating_mul(PAUSES),
                PauseReason::WaitsForOperator,
            ),
            false => (longest, PauseReason::Fault),
        };
        let lets_others_pass = kept.is_out_of_space();
        let KeptWork { work, trouble } = kept;
        tracing::error!(
            %collection,
            runs = work.len(),
            code = trouble.code(),
            error = %trouble.describe(),
            help = trouble.help(),
            "no run is to blame: they are kept until it is over"
        );
        self.pause(collection, pause, why);
        let others = self.collections.waiting_in_pauses(collection);
        let state = self.collections.get(collection);
        match lets_others_pass {
            // There may be room for work that waits.
            true => state.waiting.extend(work),
            false => state.put_first(work),
        }
        let waiting = std::mem::take(&mut state.waiting);
        let left = contention::leave_room(&self.context, waiting, others).await;
        self.collections.get(collection).put_first(left);
        Ok(trouble)
    }

    /// Starts no cycle for the collection for this time, or somewhat less.
    fn pause(&mut self, collection: &CollectionName, time: Duration, why: PauseReason) {
        let ports = &self.context.ports;
        let time = time.mul_f64(0.5 + ports.ids.fraction() / 2.0);
        let until = later(ports.clock.monotonic(), time);
        self.collections.get(collection).phase = Phase::Paused { until, why };
    }

    /// Deletes what no reader uses any more, every now and then after a publish.
    fn sweep_if_due(&mut self, collection: &CollectionName, now: Monotonic) {
        while self.sweeps.try_join_next().is_some() {}
        let (ports, settings) = (&self.context.ports, &self.context.settings);
        let every = settings.clean_up_every;
        let state = self.collections.get(collection);
        // Many daemons are started together; they need not sweep together.
        let first = || later(now, every.mul_f64(ports.ids.fraction()));
        let due = state.sweep_due.get_or_insert_with(first);
        if now < *due {
            return;
        }
        *due = later(now, every);
        let (repository, collection) = (self.context.repository.clone(), collection.clone());
        let (clock, policy) = (Arc::clone(&ports.clock), settings.retention);
        let origins = Arc::clone(&state.origins);
        self.sweeps.spawn(async move {
            let lineage = Lineage::from(&collection);
            let mut origins = origins.lock().await;
            let sweep = Sweep {
                policy,
                mode: SweepMode::Delete,
                now: clock.wall(),
            };
            let swept = repository.sweep(&lineage, sweep, &mut origins).await;
            if let Err(error) = swept {
                tracing::warn!(%collection, code = error.code(), %error, "cannot clean up; trying again later");
            }
        });
    }
}
