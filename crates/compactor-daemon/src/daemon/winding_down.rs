//! The end of a daemon: cycles and the receive under way end, messages are given back, all within
//! the configured time. Nothing is begun here.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::ports::PortResult;
use tokio::task::{JoinError, JoinHandle};

use super::Work;
use crate::polling::Received;
use crate::{RunError, Settings};

/// Which part of the time for stopping is left for giving back.
const GIVING_BACK: u32 = 10;

/// How long a daemon that was asked to stop waits for the call that it is at.
pub(super) fn patience(settings: &Settings) -> Duration {
    settings.shutdown / GIVING_BACK
}

impl Work {
    /// Lets cycles end, gives back what waits, and returns within `bound`.
    pub(super) async fn wind_down(&mut self, bound: Duration) -> Result<(), RunError> {
        self.context.stop.cancel();
        let clock = Arc::clone(&self.context.ports.clock);
        let last = bound / GIVING_BACK;
        let mut failed = None;
        tokio::select! {
            biased;
            () = self.end_work(&mut failed) => {}
            () = clock.sleep(bound.saturating_sub(last)) => {
                tracing::warn!(?bound, "stopping without waiting any longer; unfinished messages come back by themselves");
            }
        }
        // Last: nothing is received any more, and a cycle that found its collection busy has put
        // its runs back.
        tokio::select! {
            biased;
            () = self.give_back_all() => {}
            () = clock.sleep(last) => {
                tracing::warn!("messages could not be given back in time; they come back by themselves");
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Until no cycle, receive or side task is under way. `failed` is the first error that no retry
    /// changes.
    async fn end_work(&mut self, failed: &mut Option<RunError>) {
        loop {
            tokio::select! {
                biased;
                Some(finished) = self.cycles.join_next() => {
                    let settled = match finished {
                        Ok((collection, outcome)) => self.settle(&collection, outcome).await,
                        Err(error) => Err(error.into()),
                    };
                    match settled {
                        // Hooks that kill have nothing left to kill here.
                        Ok(_) | Err(RunError::Killed { .. }) => {}
                        Err(error) => {
                            failed.get_or_insert(error);
                        }
                    }
                }
                Some(received) = last_receive(&mut self.receiving) => {
                    // One that failed brought nothing that would have to be given back.
                    let Ok(Ok(Received { deliveries, since, .. })) = received else {
                        continue;
                    };
                    for delivery in deliveries {
                        self.inbox.accept(&self.context, delivery, since).await;
                    }
                }
                Some(()) = self.inbox.side_tasks().next() => {}
                else => return,
            }
        }
    }

    async fn give_back_all(&mut self) {
        let (held, queue) = (&self.context.held, self.context.ports.queue.as_ref());
        let mut left = self.inbox.take_all();
        left.append(&mut self.set_aside);
        for run in left {
            held.give_back(queue, &run.delivery.receipt, Duration::ZERO)
                .await;
        }
        held.give_back_owed(queue).await;
        if let Err(error) = held.delete_settled(queue).await {
            tracing::warn!(code = error.code(), %error, "messages of settled runs cannot be deleted; they come back");
        }
    }
}

/// What became of the receive under way; `None` at once if there is none.
async fn last_receive(
    receiving: &mut Option<JoinHandle<PortResult<Received>>>,
) -> Option<Result<PortResult<Received>, JoinError>> {
    let received = receiving.as_mut()?.await;
    *receiving = None;
    Some(received)
}
