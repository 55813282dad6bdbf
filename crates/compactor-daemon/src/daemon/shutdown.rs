//! Shutdown: cycles and the receive under way end, messages are given back, all within the configured time.
//! Nothing begins here.

use std::sync::Arc;
use std::time::Duration;

use compactor_core::ports::PortResult;
use tokio::task::{JoinError, JoinHandle};

use super::dispatch::Dispatcher;
use crate::intake::Polled;
use crate::settler::Settler;
use crate::{Error, Result, Settings};

/// Which part of the time for stopping is left for giving back.
const GIVING_BACK: u32 = 10;

/// How long a daemon that was asked to stop waits for the call that it is making.
pub(super) fn grace(settings: &Settings) -> Duration {
    settings.shutdown / GIVING_BACK
}

impl Dispatcher {
    /// Lets cycles end, gives back what waits, and returns within `bound`.
    pub(super) async fn shut_down(&mut self, bound: Duration) -> Result<()> {
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
    async fn end_work(&mut self, failed: &mut Option<Error>) {
        loop {
            tokio::select! {
                biased;
                Some(finished) = self.cycles.join_next() => {
                    let settled = match finished {
                        Ok(ended) => self.finish(ended).await,
                        Err(error) => Err(error.into()),
                    };
                    if let Err(error) = settled {
                        failed.get_or_insert(error);
                    }
                }
                Some(received) = last_receive(&mut self.receiving) => {
                    // One that failed brought nothing that would have to be given back.
                    let Ok(Ok(Polled { deliveries, since, .. })) = received else {
                        continue;
                    };
                    for delivery in deliveries {
                        let accepted = self.intake.accept(&self.context, delivery, since).await;
                        accepted.into_iter().for_each(|work| self.collections.wait(work));
                    }
                }
                Some(()) = self.intake.side_tasks().next() => {}
                else => return,
            }
        }
    }

    async fn give_back_all(&mut self) {
        let (in_flight, queue) = (&self.context.in_flight, self.context.ports.queue.as_ref());
        let settler = Settler::new(&self.context);
        let waiting = self.collections.take_all().into_iter();
        for work in waiting.chain(self.set_aside.drain(..)) {
            settler.give_back(&work.delivery, Duration::ZERO).await;
        }
        in_flight.give_back_owed(queue).await;
        if let Err(error) = in_flight.delete_settled(queue).await {
            tracing::warn!(code = error.code(), %error, "messages of settled runs cannot be deleted; they come back");
        }
    }
}

/// What became of the receive under way; `None` at once if there is none.
async fn last_receive(
    receiving: &mut Option<JoinHandle<PortResult<Polled>>>,
) -> Option<std::result::Result<PortResult<Polled>, JoinError>> {
    let received = receiving.as_mut()?.await;
    *receiving = None;
    Some(received)
}
