//! Runs in our hands whose collection another worker holds.
//!
//! For a few seconds they stay: the other is about to finish, and giving a message back uses up one
//! of its receives. Then, on a queue that serves several collections, they go back, so that the
//! holder can take them and our hands are free for other collections.

use std::time::Duration;

use compactor_core::ports::Monotonic;

use crate::cycle::Context;
use crate::inbox::ReceivedRun;
use crate::together::together;

/// How long runs wait in our hands.
const PATIENCE: Duration = Duration::from_secs(10);
/// After what time a run that was given back may be received again, at most; at least half of it.
const RETURN: Duration = Duration::from_secs(10);
/// The same for the first time that there is no room in our hands; it grows with each receive, so
/// that the receives last longer than any lock.
const LONG_RETURN: Duration = Duration::from_secs(30);
const LONGEST_RETURN: Duration = Duration::from_secs(15 * 60);

/// Gives back the runs of a collection that have waited long enough, and those that would leave too
/// little room for other collections; the others are returned.
pub(crate) async fn give_back_some(
    context: &Context,
    waiting: Vec<ReceivedRun>,
) -> Vec<ReceivedRun> {
    let queue = &context.ports.queue;
    if !queue.own_queues().is_empty() {
        return waiting;
    }
    let (now, receives) = (context.ports.clock.monotonic(), queue.max_receives());
    let (tired, mut patient): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|run| is_tired(run, now, receives));
    give_back(context, &tired, |_| RETURN).await;
    let room = (context.settings.in_flight / 2).max(1);
    if patient.len() > room {
        let (surplus, last) = patient
            .split_off(room)
            .into_iter()
            .partition(|run: &ReceivedRun| run.delivery.receive_count < receives);
        // Given back once more, it would be buried.
        patient.extend::<Vec<_>>(last);
        give_back(context, &surplus, long_return).await;
    }
    patient
}

/// A lock that stays busy must not bury a message: half of its receives are for real attempts.
fn is_tired(run: &ReceivedRun, now: Monotonic, max_receives: u32) -> bool {
    let waited = now.0.saturating_sub(run.since.0);
    waited >= PATIENCE && run.delivery.receive_count.saturating_mul(2) <= max_receives
}

fn long_return(receive_count: u32) -> Duration {
    let growth = 4_u32.saturating_pow(receive_count.saturating_sub(1));
    LONG_RETURN.saturating_mul(growth).min(LONGEST_RETURN)
}

/// Gives runs back, to be received again at different times, after `at_most` of their receives.
async fn give_back(context: &Context, runs: &[ReceivedRun], at_most: impl Fn(u32) -> Duration) {
    let ports = &context.ports;
    let calls = runs.iter().map(|run| {
        let receipt = &run.delivery.receipt;
        let delay = at_most(run.delivery.receive_count);
        let delay = delay.mul_f64(0.5 + ports.ids.fraction() / 2.0);
        async move {
            context.held.let_go(receipt);
            if let Err(error) = ports.queue.release(receipt, delay).await {
                tracing::warn!(code = error.code(), %error, "cannot give a message back; it returns when its visibility ends");
            }
        }
    });
    together(calls.collect()).await;
}
