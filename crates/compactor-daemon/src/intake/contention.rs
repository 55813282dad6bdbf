//! Work in flight that cannot be merged now: another worker holds its collection, or a fault that is not its own
//! keeps it waiting. It must leave room for other collections.
//!
//! Work that waits for a lock stays in flight for some seconds: the holder is about to finish, and giving a message
//! back uses up one of its receives. Then, on a queue that serves several collections, it goes back, so that the holder
//! can take it and this worker has room for others.

use std::time::Duration;

use compactor_core::ports::Monotonic;

use super::ReceivedWork;
use crate::context::Context;
use crate::ports::side_by_side;
use crate::receives::has_receives_left;
use crate::settler::Settler;

/// How long work waits for a lock before it is given back.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest time until work that was given back may be received again. The shortest is half of it.
const RETURN: Duration = Duration::from_secs(10);
/// How long the Python writers' locks last. Where work cannot stay in flight, half of its receives last that long.
const LONGEST_LOCK: Duration = Duration::from_secs(16 * 60);

/// Gives back the work of a locked collection that has waited long enough, and as much of the rest as leaves too
/// little room for other collections. Returns what stays. `locked` counts the work in flight of other locked
/// collections.
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
    let (enough, others): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|run| has_waited_enough(run, now, receives));
    give_back(context, &enough, RETURN).await;
    leave_room(context, others, locked).await
}

/// Gives back as much of a paused collection's work as leaves too little room for other collections. Returns what
/// stays. `others` counts the work in flight of other paused collections.
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

fn has_waited_enough(run: &ReceivedWork, now: Monotonic, max_receives: u32) -> bool {
    let waited = now.0.saturating_sub(run.since.0);
    waited >= LONGEST_WAIT && has_receives_left(run.delivery.receive_count, max_receives)
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
