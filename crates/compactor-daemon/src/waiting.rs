//! Runs in our hands whose collection another worker holds.
//!
//! For a few seconds they stay: the other is about to finish, and giving a message back uses up one
//! of its receives. Then, on a queue that serves several collections, they go back, so that the
//! holder can take them and our hands are free for other collections.

use std::time::Duration;

use compactor_core::ports::Monotonic;

use crate::Ports;
use crate::cycle::Context;
use crate::inbox::ReceivedRun;
use crate::together::together;

/// How long runs wait in our hands.
const PATIENCE: Duration = Duration::from_secs(10);
/// After what time a run that was given back may be received again, at most; at least half of it.
const RETURN: Duration = Duration::from_secs(10);

/// Those that have waited long enough, and the others.
pub(crate) fn split(ports: &Ports, busy: Vec<ReceivedRun>) -> (Vec<ReceivedRun>, Vec<ReceivedRun>) {
    let shared = ports.queue.own_queues().is_empty();
    let (now, receives) = (ports.clock.monotonic(), ports.queue.max_receives());
    busy.into_iter()
        .partition(|run| shared && is_tired(run, now, receives))
}

/// A lock that stays busy must not bury a message: half of its receives are for real attempts.
fn is_tired(run: &ReceivedRun, now: Monotonic, max_receives: u32) -> bool {
    let waited = now.0.saturating_sub(run.since.0);
    waited >= PATIENCE && run.delivery.receive_count.saturating_mul(2) <= max_receives
}

/// Gives runs back, to be received again at different times.
pub(crate) async fn give_back(context: &Context, runs: Vec<ReceivedRun>) {
    let ports = &context.ports;
    let calls = runs.iter().map(|run| async {
        let receipt = &run.delivery.receipt;
        context.held.let_go(receipt);
        let delay = RETURN.mul_f64(0.5 + ports.ids.fraction() / 2.0);
        if let Err(error) = ports.queue.release(receipt, delay).await {
            tracing::warn!(code = error.code(), %error, "cannot give a message back; it returns when its visibility ends");
        }
    });
    together(calls.collect()).await;
}
