//! Runs in our hands that cannot be merged now: another worker holds their collection, or something is
//! wrong that is not their fault. They must leave room for other collections.
//!
//! Where another worker holds it, they stay for a few seconds: the other is about to finish, and
//! giving a message back uses up one of its receives. Then, on a queue that serves several
//! collections, they go back, so that the holder can take them and our hands are free for others.

use std::time::Duration;

use compactor_core::ports::Monotonic;

use super::ReceivedWork;
use crate::context::Context;
use crate::ports::side_by_side;
use crate::receives::has_receives_left;
use crate::settler::Settler;

/// How long runs wait in our hands.
const PATIENCE: Duration = Duration::from_secs(10);
/// After what time a run that was given back may be received again, at most; at least half of it.
const RETURN: Duration = Duration::from_secs(10);
/// As long as the Python writers' locks last. Half of a run's receives last for that, where our
/// hands are too full to keep it.
const LONGEST_LOCK: Duration = Duration::from_secs(16 * 60);

/// Gives back the runs of a locked collection that have waited long enough, and those that would leave
/// too little room for other collections; the others are returned. `locked` are the runs in our
/// hands of other collections that are locked.
pub(crate) async fn give_back_some(
    context: &Context,
    waiting: Vec<ReceivedWork>,
    locked: usize,
) -> Vec<ReceivedWork> {
    let queue = &context.ports.queue;
    if !queue.own_queues().is_empty() {
        return waiting;
    }
    let (now, receives) = (context.ports.clock.monotonic(), queue.max_receives());
    let (tired, patient): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|run| is_tired(run, now, receives));
    give_back(context, &tired, RETURN).await;
    leave_room(context, patient, locked).await
}

/// Gives back the runs of a collection that waits for the end of something that would leave too little
/// room for other collections; the others are returned. `others` are the runs in our hands of other
/// collections that wait.
pub(crate) async fn leave_room(
    context: &Context,
    mut waiting: Vec<ReceivedWork>,
    others: usize,
) -> Vec<ReceivedWork> {
    let queue = &context.ports.queue;
    let room = (context.settings.in_flight / 2).max(1);
    let room = room.saturating_sub(others);
    if !queue.own_queues().is_empty() || waiting.len() <= room {
        return waiting;
    }
    let receives = queue.max_receives();
    let (surplus, last) = waiting
        .split_off(room)
        .into_iter()
        .partition(|run| has_receives_left(run.delivery.receive_count, receives));
    waiting.extend::<Vec<_>>(last);
    let return_in = (LONGEST_LOCK / (receives / 2).max(1)).max(RETURN);
    give_back(context, &surplus, return_in).await;
    waiting
}

fn is_tired(run: &ReceivedWork, now: Monotonic, max_receives: u32) -> bool {
    let waited = now.0.saturating_sub(run.since.0);
    waited >= PATIENCE && has_receives_left(run.delivery.receive_count, max_receives)
}

/// Gives work back, to be received again at different times: after `at_most`, or at least half of it.
async fn give_back(context: &Context, work: &[ReceivedWork], at_most: Duration) {
    let settler = Settler::new(context);
    let calls = work.iter().map(|one| {
        let delay = at_most.mul_f64(0.5 + context.ports.ids.fraction() / 2.0);
        async move { settler.give_back(&one.delivery, delay).await }
    });
    side_by_side(calls).await;
}
