//! Lock contention: another worker holds a collection while work waits for it. What the daemon logs and
//! counts of that.
//!
//! The alarms on that count are those of the Python compactor. It counted once for each batch of
//! messages that it had received in vain, and these came back after a quarter of an hour.

use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::{LockHolder, Monotonic};

use crate::intake::ReceivedWork;
use crate::metrics;

/// How long the daemon waits before it logs again that a collection waits for another worker.
const TELL_AGAIN: Duration = Duration::from_secs(300);
/// After what time messages came back that a Python writer could not work on.
const COUNT_AGAIN: Duration = Duration::from_secs(900);

/// How long a collection has waited for another worker's lock, and what was logged and counted of it.
#[derive(Debug, Default)]
pub(crate) struct LockContention {
    told: Option<Monotonic>,
    counted: Option<Monotonic>,
    /// When the newest work was let in.
    newest: Option<Monotonic>,
    /// Messages in the collection's own queue when it was last looked at.
    queued: u64,
}

impl LockContention {
    /// `work` waits for `collection`, whose lock `holder` has.
    pub(crate) fn work_waits(
        &mut self,
        collection: &CollectionName,
        holder: &LockHolder,
        work: &[ReceivedWork],
        now: Monotonic,
    ) {
        // A message that was given back and has come again is not new.
        let new = work.iter().filter(|one| one.delivery.receive_count <= 1);
        let newest = new.map(|one| one.since).max().max(self.newest);
        let has_more = newest > self.newest;
        self.newest = newest;
        self.go_on(collection, holder, has_more, now);
    }

    /// `queued` messages wait in the collection's own queue, which the daemon leaves alone while `holder`
    /// has the lock.
    pub(crate) fn queue_waits(
        &mut self,
        collection: &CollectionName,
        holder: &LockHolder,
        queued: u64,
        now: Monotonic,
    ) {
        let has_more = queued > self.queued;
        self.queued = queued;
        if queued > 0 {
            self.go_on(collection, holder, has_more, now);
        }
    }

    fn go_on(
        &mut self,
        collection: &CollectionName,
        holder: &LockHolder,
        has_more: bool,
        now: Monotonic,
    ) {
        if has_more || is_over(self.counted, COUNT_AGAIN, now) {
            metrics::count(metrics::LOCKED_OUT);
            self.counted = Some(now);
        }
        if is_over(self.told, TELL_AGAIN, now) {
            let LockHolder { owner, expires } = holder;
            let expires = expires.map_or_else(|| "not said".to_owned(), |expires| expires.to_iso());
            tracing::info!(%collection, owner, expires, "another worker holds the lock of the collection; it is asked for again");
            self.told = Some(now);
        }
    }
}

fn is_over(since: Option<Monotonic>, time: Duration, now: Monotonic) -> bool {
    since.is_none_or(|since| now.0.saturating_sub(since.0) >= time)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use ::metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit,
    };

    use super::*;

    /// What is counted.
    #[derive(Clone, Default)]
    struct Counts(Arc<AtomicU64>);

    impl CounterFn for Counts {
        fn increment(&self, by: u64) {
            self.0.fetch_add(by, Ordering::SeqCst);
        }

        fn absolute(&self, _: u64) {}
    }

    impl ::metrics::Recorder for Counts {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            assert_eq!(key.name(), metrics::LOCKED_OUT);
            Counter::from_arc(Arc::new(self.clone()))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn holder() -> LockHolder {
        LockHolder {
            owner: "a Python writer".to_owned(),
            expires: None,
        }
    }

    /// How often was counted after each look at the queue: seconds, and messages that wait.
    fn counted(looks: &[(u64, u64)]) -> Vec<u64> {
        let (counts, mut contention) = (Counts::default(), LockContention::default());
        let words = "words".parse().unwrap();
        let after = looks.iter().map(|(seconds, queued)| {
            let now = Monotonic(Duration::from_secs(*seconds));
            ::metrics::with_local_recorder(&counts, || {
                contention.queue_waits(&words, &holder(), *queued, now);
            });
            counts.0.load(Ordering::SeqCst)
        });
        after.collect()
    }

    #[test]
    fn each_arrival_counts_once_and_again_after_a_quarter_of_an_hour() {
        assert_eq!(counted(&[(0, 0), (1, 0)]), [0, 0], "nothing waits");
        assert_eq!(counted(&[(0, 3), (1, 3), (899, 3)]), [1, 1, 1]);
        assert_eq!(counted(&[(0, 3), (900, 3), (901, 3)]), [1, 2, 2]);
        assert_eq!(counted(&[(0, 1), (5, 2), (9, 4), (10, 4)]), [1, 2, 3, 3]);
        assert_eq!(counted(&[(0, 2), (1, 1), (2, 2)]), [1, 1, 2]);
    }

    /// What lets the alarm fire: more than 20 in five minutes, three times.
    #[test]
    fn a_dead_writer_and_a_run_every_ten_seconds_are_an_alarm() {
        let looks: Vec<_> = (0..900).map(|second| (second, second / 10 + 1)).collect();
        let after = counted(&looks);
        for minutes in [0, 5, 10] {
            let (from, to) = (minutes * 60, minutes * 60 + 299);
            assert!(after[to] - after[from] > 20, "from {minutes} on");
        }
    }
}
