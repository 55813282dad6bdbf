//! The worker pool: receives messages and dispatches batches to cycles. What follows from the end of a
//! cycle is in `settle`, the end of the daemon in `winding_down`.

mod locked_out;
mod probe;
mod settle;
mod winding_down;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::{Depth, Monotonic, PortResult};
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clean_up::Cleaner;
use crate::cycle::{self, Context, Finished, NoHooks, StepHooks};
use crate::held::HeldMessages;
use crate::inbox::{Inbox, ReceivedRun};
use crate::kept::KeptCopies;
use crate::patience::PatientReads;
use crate::polling::{Poll, Received};
use crate::{Ports, RunError, Scratch, Settings};

use locked_out::LockedOut;

/// SQS hands out at most this many messages at a time.
const RECEIVE_MAX: usize = 10;
/// How many receives in a row gather messages, while some come, before cycles begin.
const GATHERING: u32 = 100;
/// The longest wait for a message while a queue is drained.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// When a daemon ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    Forever,
    /// When the queue is empty: nothing waiting, delayed, or in anybody's hands.
    Drain,
}

/// What a daemon did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Runs completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Versions published.
    pub published: u64,
}

/// The daemon.
pub struct Daemon {
    context: Context,
}

/// What the loop is woken by.
enum Event {
    Stop,
    Received(PortResult<Received>),
    Cycle(CollectionName, Result<Finished, RunError>),
    Resume,
}

type Cycles = JoinSet<(CollectionName, Result<Finished, RunError>)>;

impl Daemon {
    /// A daemon that stops when `stop` is cancelled.
    pub fn new(
        mut ports: Ports,
        settings: Settings,
        scratch: Scratch,
        stop: CancellationToken,
    ) -> Self {
        ports.objects = Arc::new(PatientReads::new(&ports, &settings));
        let context = Context {
            ports,
            settings: Arc::new(settings),
            scratch: Arc::new(scratch),
            held: HeldMessages::new(&stop),
            kept: Arc::new(KeptCopies::default()),
            checked: Arc::default(),
            hooks: Arc::new(NoHooks),
            stop,
            settling: TaskTracker::new(),
        };
        Self { context }
    }

    /// Calls `hooks` at every step boundary.
    #[must_use]
    pub fn with_hooks(mut self, hooks: Arc<dyn StepHooks>) -> Self {
        self.context.hooks = hooks;
        self
    }

    /// Tracks work that must not be cancelled in `settling`: whoever ends the process at once waits for
    /// it.
    #[must_use]
    pub fn with_settling(mut self, settling: TaskTracker) -> Self {
        self.context.settling = settling;
        self
    }

    /// Works until stopped or, in [`Mode::Drain`], until the queue is empty.
    ///
    /// # Errors
    /// Something that no retry changes and that every run needs (access denied, storage missing), a
    /// queue that cannot be read during a drain, or a hook that killed a cycle.
    pub async fn run(self, mode: Mode) -> Result<Summary, RunError> {
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => {}
            probed = probe::probe(&self.context) => probed?,
        }
        let keeper = self
            .context
            .held
            .keep_hidden(self.context.ports.clone(), &self.context.settings);
        let mut work = Work {
            context: self.context,
            inbox: Inbox::default(),
            cycles: JoinSet::new(),
            busy: BTreeSet::new(),
            paused: BTreeMap::new(),
            alone: BTreeMap::new(),
            locked_out: LockedOut::default(),
            unflushed: BTreeMap::new(),
            cleaner: Cleaner::default(),
            receiving: None,
            more: false,
            gathered: 0,
            failures: 0,
            set_aside: Vec::new(),
            trouble: None,
            summary: Summary::default(),
        };
        let (stop, clock) = (
            work.context.stop.clone(),
            Arc::clone(&work.context.ports.clock),
        );
        let patience = winding_down::patience(&work.context.settings);
        let mut bound = work.context.settings.shutdown;
        // A call that does not answer must not keep the daemon from ending in time.
        let too_late = async {
            stop.cancelled().await;
            clock.sleep(patience).await;
        };
        let mut outcome = tokio::select! {
            biased;
            served = work.serve(mode) => served,
            () = too_late => {
                bound = bound.saturating_sub(patience);
                Ok(())
            }
        };
        if !matches!(outcome, Err(RunError::Killed { .. })) {
            let ended = work.wind_down(bound).await;
            outcome = outcome.and(ended);
        }
        keeper.abort();
        outcome.map(|()| work.summary)
    }
}

struct Work {
    context: Context,
    inbox: Inbox,
    cycles: Cycles,
    busy: BTreeSet<CollectionName>,
    /// Collections that other workers hold, and until when not to ask for them.
    paused: BTreeMap<CollectionName, Monotonic>,
    /// Collections whose runs are merged one by one, and for how many cycles.
    alone: BTreeMap<CollectionName, usize>,
    /// Collections whose lease is another's, when we last asked, and for which runs wait.
    locked_out: LockedOut,
    /// Collections whose published snapshot waits to be flushed, and until when not to begin.
    unflushed: BTreeMap<CollectionName, Monotonic>,
    cleaner: Cleaner,
    /// A receive under way. Never dropped half-way: what it hands out would stay hidden.
    receiving: Option<JoinHandle<PortResult<Received>>>,
    /// The last receive brought something: there may be more that belongs into the same batches.
    /// SQS seldom hands out all that it has, nor as many as are asked for.
    more: bool,
    /// How many receives in a row have brought something.
    gathered: u32,
    /// Receives that failed in a row.
    failures: u32,
    /// Runs that a drain does not wait for, and why it does not.
    set_aside: Vec<ReceivedRun>,
    trouble: Option<RunError>,
    summary: Summary,
}

impl Work {
    async fn serve(&mut self, mode: Mode) -> Result<(), RunError> {
        loop {
            if !self.more {
                self.dispatch();
            }
            self.receive(mode);
            match self.next().await? {
                Event::Stop => return Ok(()),
                Event::Resume => {}
                Event::Cycle(collection, outcome) => {
                    let trouble = self.settle(&collection, outcome).await?;
                    if let (Mode::Drain, Some(trouble)) = (mode, trouble) {
                        // Somebody waits for the end, and it is not in sight. The other
                        // collections are none the worse for it.
                        let kept = self.inbox.take(&collection, usize::MAX);
                        self.set_aside.extend(kept);
                        self.trouble.get_or_insert(trouble);
                    }
                }
                Event::Received(Ok(received)) => {
                    let Received {
                        deliveries,
                        since,
                        looks,
                    } = received;
                    let now = self.context.ports.clock.monotonic();
                    self.locked_out.queues_were_seen(looks, &self.inbox, now);
                    self.more = self.gathers(!deliveries.is_empty());
                    if mode == Mode::Forever || !deliveries.is_empty() {
                        self.failures = 0;
                    }
                    let idle = deliveries.is_empty() && self.is_idle();
                    for delivery in deliveries {
                        self.inbox.accept(&self.context, delivery, since).await;
                    }
                    if mode == Mode::Drain && idle {
                        match self.is_done().await {
                            Ok(true) => return self.trouble.take().map_or(Ok(()), Err),
                            Ok(false) => self.failures = 0,
                            Err(error) => self.endure(error, mode).await?,
                        }
                    }
                }
                Event::Received(Err(error)) => self.endure(error, mode).await?,
            }
        }
    }

    /// Whether to ask for more before anything is begun.
    fn gathers(&mut self, has_brought: bool) -> bool {
        self.gathered = match has_brought && self.gathered < GATHERING {
            true => self.gathered + 1,
            false => 0,
        };
        self.gathered > 0
    }

    fn is_idle(&self) -> bool {
        // A flush that failed is not waited for.
        let now = self.context.ports.clock.monotonic();
        let is_flushed = self.unflushed.values().all(|until| *until > now);
        self.inbox.is_empty() && self.cycles.is_empty() && is_flushed
    }

    /// Starts a cycle for every collection that waits and has none, as far as workers go.
    fn dispatch(&mut self) {
        let now = self.context.ports.clock.monotonic();
        self.paused.retain(|_, until| *until > now);
        // What waits comes first; whoever has nothing waiting can be flushed.
        let mut waiting = self.inbox.collections();
        let unflushed = self.unflushed.iter().filter(|(_, until)| **until <= now);
        waiting.extend(unflushed.map(|(collection, _)| collection.clone()));
        for collection in waiting {
            if self.cycles.len() >= self.context.settings.workers {
                return;
            }
            if self.paused.contains_key(&collection) || !self.busy.insert(collection.clone()) {
                continue;
            }
            let most = match self.alone.remove(&collection) {
                None => self.context.settings.batch_runs,
                Some(left) => {
                    if left > 1 {
                        self.alone.insert(collection.clone(), left - 1);
                    }
                    1
                }
            };
            let runs = self.inbox.take(&collection, most);
            let context = self.context.clone();
            self.cycles.spawn(async move {
                let outcome = cycle::run(context, collection.clone(), runs).await;
                (collection, outcome)
            });
        }
    }

    /// Starts a receive if there is none and room for its messages.
    fn receive(&mut self, mode: Mode) {
        let room = self
            .context
            .settings
            .in_flight
            .saturating_sub(self.context.held.open());
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
            // Somebody waits for the end.
            Mode::Drain => settings.poll_wait.min(DRAIN_WAIT),
            Mode::Forever => settings.poll_wait,
        };
        let poll = Poll {
            ours: self.busy.clone(),
            max: room.min(RECEIVE_MAX),
            wait,
            visibility: settings.visibility,
        };
        let ports = self.context.ports.clone();
        self.receiving = Some(tokio::spawn(async move { poll.receive(&ports).await }));
    }

    async fn next(&mut self) -> Result<Event, RunError> {
        let receiving = async {
            match self.receiving.as_mut() {
                Some(receiving) => receiving.await,
                None => std::future::pending().await,
            }
        };
        let clock = &self.context.ports.clock;
        let now = clock.monotonic();
        // What is due already waits for a worker, not for a time.
        let later = self.unflushed.values().filter(|until| **until > now);
        // While messages are gathered nothing is begun, whoever's time has come.
        let gathers = self.more;
        let resume = async {
            match self.paused.values().chain(later).min() {
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
            error = self.context.held.refused() => Err(error),
            Some(finished) = self.cycles.join_next() => {
                let (collection, outcome) = finished?;
                Ok(Event::Cycle(collection, outcome))
            }
            received = receiving => {
                self.receiving = None;
                Ok(Event::Received(received?))
            }
            () = resume => Ok(Event::Resume),
        }
    }

    /// A queue that cannot be read: wait and try again, but a drain, which somebody waits for,
    /// gives up in the end.
    async fn endure(
        &mut self,
        error: compactor_core::ports::PortError,
        mode: Mode,
    ) -> Result<(), RunError> {
        self.more = false;
        self.failures += 1;
        let (disposition, _) = of_fault(Resource::Queue, error.fault);
        let error = RunError::Port {
            resource: Resource::Queue,
            error,
        };
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

    /// Whether a drain has nothing left to do. What is settled is deleted first, if the queue does it
    /// by now.
    async fn is_done(&self) -> PortResult<bool> {
        let queue = self.context.ports.queue.as_ref();
        self.context.held.delete_settled(queue).await?;
        let Depth {
            visible,
            delayed,
            in_flight,
            ..
        } = queue.depth().await?;
        // Who is in trouble does not wait for others that may be in the same.
        Ok(visible == 0 && delayed == 0 && (in_flight == 0 || self.trouble.is_some()))
    }
}
