//! The worker pool: receives messages and starts a cycle for every collection that waits, as far as workers go. What
//! follows from the end of a cycle is in `finished`.

use std::collections::BTreeSet;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::{Depth, PortError, PortResult};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::status::Status;
use super::{Mode, Summary};
use crate::collection::{Collections, Memory, Phase};
use crate::context::Context;
use crate::cycle::{Finished, run_cycle};
use crate::intake::{Intake, Poll, Polled, ReceivedWork};
use crate::{Error, Result};

/// SQS hands out at most this many messages at a time.
const RECEIVE_MAX: usize = 10;
/// How many receives in a row gather messages, while some come, before cycles begin.
const GATHERING: u32 = 100;
/// The longest wait for a message while a queue is drained.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// A cycle that has ended.
pub(super) struct EndedCycle {
    pub(super) collection: CollectionName,
    pub(super) memory: Memory,
    pub(super) finished: Result<Finished>,
}

/// What the loop is woken by.
enum Event {
    Stop,
    Received(PortResult<Polled>),
    CycleEnded(Box<EndedCycle>),
    Resume,
}

pub(super) struct Dispatcher {
    pub(super) context: Context,
    pub(super) intake: Intake,
    pub(super) collections: Collections,
    pub(super) cycles: JoinSet<EndedCycle>,
    /// Ended with the daemon: what was not deleted goes the next time.
    pub(super) sweeps: JoinSet<()>,
    /// A receive under way. Never dropped half-way: what it hands out would stay hidden.
    pub(super) receiving: Option<JoinHandle<PortResult<Polled>>>,
    /// The last receive brought something: more may come that belongs into the same batches. SQS seldom hands
    /// out all that it has, nor as many as are asked for.
    more: bool,
    /// How many receives in a row have brought something.
    gathered: u32,
    /// Receives that failed in a row.
    failures: u32,
    /// Work that a drain does not wait for, and why it does not.
    pub(super) set_aside: Vec<ReceivedWork>,
    trouble: Option<Error>,
    pub(super) summary: Summary,
    status: watch::Sender<Status>,
}

impl Dispatcher {
    pub(super) fn new(context: Context, status: watch::Sender<Status>) -> Self {
        Self {
            context,
            intake: Intake::default(),
            collections: Collections::default(),
            cycles: JoinSet::new(),
            sweeps: JoinSet::new(),
            receiving: None,
            more: false,
            gathered: 0,
            failures: 0,
            set_aside: Vec::new(),
            trouble: None,
            summary: Summary::default(),
            status,
        }
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) async fn serve(&mut self, mode: Mode) -> Result<()> {
        loop {
            if !self.more {
                self.dispatch();
            }
            self.receive(mode);
            self.publish_status();
            match self.next().await? {
                Event::Stop => return Ok(()),
                Event::Resume => {}
                Event::CycleEnded(ended) => {
                    let collection = ended.collection.clone();
                    let trouble = self.finish(*ended).await?;
                    if let (Mode::Drain, Some(trouble)) = (mode, trouble) {
                        // A user waits for the end, and it is not in sight. The other collections go on.
                        let state = self.collections.get(&collection);
                        self.set_aside.append(&mut state.waiting);
                        self.trouble.get_or_insert(trouble);
                    }
                }
                Event::Received(Ok(polled)) => {
                    if self.take_in(polled, mode).await? {
                        return self.trouble.take().map_or(Ok(()), Err);
                    }
                }
                Event::Received(Err(error)) => self.endure(error, mode).await?,
            }
        }
    }

    /// Takes in what a receive brought. Returns whether a drain is done.
    async fn take_in(&mut self, polled: Polled, mode: Mode) -> Result<bool> {
        let Polled {
            deliveries,
            since,
            looks,
        } = polled;
        let now = self.context.ports.clock.monotonic();
        self.collections.queues_were_seen(looks, now);
        self.more = self.gathers(!deliveries.is_empty());
        if mode == Mode::Forever || !deliveries.is_empty() {
            self.failures = 0;
        }
        let is_idle = deliveries.is_empty() && self.is_idle();
        for delivery in deliveries {
            let accepted = self.intake.accept(&self.context, delivery, since).await;
            accepted
                .into_iter()
                .for_each(|work| self.collections.wait(work));
        }
        if mode == Mode::Drain && is_idle {
            match self.is_done().await {
                Ok(true) => return Ok(true),
                Ok(false) => self.failures = 0,
                Err(error) => self.endure(error, mode).await?,
            }
        }
        Ok(false)
    }

    /// Whether to ask for more before a cycle begins.
    fn gathers(&mut self, has_brought: bool) -> bool {
        self.gathered = match has_brought && self.gathered < GATHERING {
            true => self.gathered + 1,
            false => 0,
        };
        self.gathered > 0
    }

    fn is_idle(&self) -> bool {
        // A drain does not wait for a flush that failed.
        let now = self.context.ports.clock.monotonic();
        let collections = &self.collections;
        !collections.has_waiting() && self.cycles.is_empty() && !collections.has_flush_due(now)
    }

    /// Starts a cycle for every collection that waits and has none, as far as workers go.
    fn dispatch(&mut self) {
        let now = self.context.ports.clock.monotonic();
        for collection in self.collections.ready(now) {
            let settings = &self.context.settings;
            if self.cycles.len() >= settings.workers {
                return;
            }
            let state = self.collections.get(&collection);
            state.phase = Phase::Running;
            let work = state.take_batch(settings.batch_runs);
            let mut memory = std::mem::take(&mut state.memory);
            let context = self.context.clone();
            self.cycles.spawn(async move {
                let finished = run_cycle(&context, &collection, work, &mut memory).await;
                EndedCycle {
                    collection,
                    memory,
                    finished,
                }
            });
        }
    }

    /// Starts a receive if there is none and room for its messages.
    fn receive(&mut self, mode: Mode) {
        let in_flight = self.context.in_flight.open();
        let room = self.context.settings.in_flight.saturating_sub(in_flight);
        if room == 0 {
            self.more = false;
            self.dispatch();
        }
        if self.receiving.is_some() || room == 0 {
            return;
        }
        let settings = &self.context.settings;
        let wait = match mode {
            _ if self.more => Duration::ZERO,
            // A user waits for the end.
            Mode::Drain => settings.poll_wait.min(DRAIN_WAIT),
            Mode::Forever => settings.poll_wait,
        };
        let ours: BTreeSet<CollectionName> = self.collections.running().cloned().collect();
        let poll = Poll {
            ours,
            max: room.min(RECEIVE_MAX),
            wait,
            visibility: settings.visibility,
        };
        let ports = self.context.ports.clone();
        self.receiving = Some(tokio::spawn(async move { poll.receive(&ports).await }));
    }

    async fn next(&mut self) -> Result<Event> {
        let receiving = async {
            match self.receiving.as_mut() {
                Some(receiving) => receiving.await,
                None => std::future::pending().await,
            }
        };
        let clock = &self.context.ports.clock;
        // What is due already waits for a worker, not for a time.
        let next_change = self.collections.next_change(clock.monotonic());
        // While messages are gathered no cycle begins.
        let gathers = self.more;
        let resume = async {
            match next_change {
                Some(until) if !gathers => {
                    clock
                        .sleep(until.0.saturating_sub(clock.monotonic().0))
                        .await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Ok(Event::Stop),
            error = self.context.in_flight.refused() => Err(error),
            Some(ended) = self.cycles.join_next() => Ok(Event::CycleEnded(Box::new(ended?))),
            received = receiving => {
                self.receiving = None;
                Ok(Event::Received(received?))
            }
            () = resume => Ok(Event::Resume),
        }
    }

    /// Waits after a failed receive, and lets the loop try again. A drain, for whose end a user waits, gives up after
    /// some attempts.
    async fn endure(&mut self, error: PortError, mode: Mode) -> Result<()> {
        self.more = false;
        self.failures += 1;
        let (disposition, _) = of_fault(Resource::Queue, error.fault);
        let resource = Resource::Queue;
        let error = Error::from(compactor_snapshots::Error::Port { resource, error });
        let gives_up = mode == Mode::Drain && self.failures >= self.context.settings.attempts;
        if disposition == Disposition::Stop || gives_up {
            return Err(error);
        }
        tracing::error!(code = error.code(), %error, "cannot use the queue");
        let ports = &self.context.ports;
        let wait = self
            .context
            .settings
            .backoff
            .delay(self.failures, ports.ids.fraction());
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => {}
            () = ports.clock.sleep(wait) => {}
        }
        Ok(())
    }

    /// Whether a drain has nothing left to do. Messages that were settled but not deleted are deleted first.
    async fn is_done(&self) -> PortResult<bool> {
        let queue = self.context.ports.queue.as_ref();
        self.context.in_flight.delete_settled(queue).await?;
        let Depth {
            visible,
            delayed,
            in_flight,
            ..
        } = queue.depth().await?;
        // A drain that keeps work back does not wait for other workers, which may keep the same.
        Ok(visible == 0 && delayed == 0 && (in_flight == 0 || self.trouble.is_some()))
    }
    /// Tells those who watch, if there are some.
    fn publish_status(&self) {
        if self.status.receiver_count() == 0 {
            return;
        }
        let now = self.context.ports.clock.monotonic();
        let status = Status::of(&self.collections, self.summary, now);
        self.status.send_replace(status);
    }
}
