//! What happens while a seed is played.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use compactor_core::RunRecord;
use compactor_core::fakes::SeededIds;
use compactor_core::message::{Announcement, encode};
use compactor_core::ports::{Clock, Ids, Queue, RunStore};
use compactor_daemon::{Daemon, Error, Mode, Ports, Settings, Summary};
use compactor_snapshots::Scratch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::plan::{Arrival, Event, Plan};
use super::remote::{Remote, Services};
use super::run::prefix;
use super::time::MachineClock;
use crate::world::{key, name};

/// How long the last machine may take.
const CALM: Duration = Duration::from_secs(6 * 60 * 60);

pub(crate) struct Stage<'p> {
    pub(crate) settings: Settings,
    /// For the working copies.
    pub(crate) folder: PathBuf,
    pub(crate) services: Arc<Services>,
    pub(crate) plan: &'p Plan,
}

/// A daemon that runs.
struct Process {
    machine: Arc<Machine>,
    stop: CancellationToken,
    daemon: JoinHandle<Result<Summary, Error>>,
}

impl Process {
    fn kill(&self) {
        self.machine.kill();
        self.daemon.abort();
    }
}

impl Stage<'_> {
    pub(crate) async fn play(&self) {
        let mut producers = tokio::task::JoinSet::new();
        for arrival in self.plan.arrivals.clone() {
            producers.spawn(announce(Arc::clone(&self.services), arrival));
        }
        let machines = self.plan.machines.iter().enumerate();
        let lives = machines.map(|(number, events)| self.live(number, events));
        let incident = async {
            if let Some(incident) = &self.plan.incident {
                incident.happen(&self.services, &self.operator()).await;
            }
        };
        tokio::join!(futures_util::future::join_all(lives), incident);
        producers.join_all().await;
        self.services.weather.turn_calm();
        self.services.note("calm");
        self.end().await;
    }

    /// The life of a machine as long as it is rough.
    async fn live(&self, number: usize, events: &[(Duration, Event)]) {
        let ahead = Arc::new(AtomicI64::new(0));
        let mut starts = 0;
        let mut process = self.start(number, &mut starts, &ahead, Mode::Forever);
        for (at, event) in events {
            self.services.until(*at).await;
            self.assert_alive(&process);
            let name = &process.machine.name;
            self.services.count(|figures| match event {
                Event::Kill(_) => figures.kills += 1,
                Event::Stop(_) => figures.stops += 1,
                Event::Pause(_) => figures.pauses += 1,
                Event::SetClock(_) => figures.clocks_set += 1,
            });
            self.services.note(&format!("{name}: {event:?}"));
            match event {
                Event::Kill(rest) => {
                    process.kill();
                    self.services.time.sleep(*rest).await;
                    process = self.start(number, &mut starts, &ahead, Mode::Forever);
                }
                Event::Stop(rest) => {
                    self.stop(&mut process).await;
                    self.services.time.sleep(*rest).await;
                    process = self.start(number, &mut starts, &ahead, Mode::Forever);
                }
                Event::Pause(rest) => {
                    process.machine.pause();
                    self.services.time.sleep(*rest).await;
                    process.machine.resume();
                }
                Event::SetClock(seconds) => {
                    self.services.promises.clock_set(*seconds);
                    ahead.store(seconds * 1_000_000, Ordering::Relaxed);
                }
            }
        }
        self.services.until(self.plan.rough).await;
        self.assert_alive(&process);
        process.kill();
    }

    /// Only stopping and killing end a daemon: nothing in a seed is for good.
    fn assert_alive(&self, process: &Process) {
        if process.daemon.is_finished() {
            let name = &process.machine.name;
            self.services
                .promises
                .is_broken(format!("{name} ended by itself"));
        }
    }

    /// The services, as an operator reaches them.
    fn operator(&self) -> Ports {
        let services = &self.services;
        Ports {
            objects: services.objects.clone(),
            queue: services.queue.clone(),
            leases: services.leases.clone(),
            runs: services.runs.clone(),
            clock: services.time.clone(),
            ids: Arc::new(SeededIds::new(999)),
        }
    }

    /// Asks a process to stop. It must do so in time.
    async fn stop(&self, process: &mut Process) {
        process.stop.cancel();
        // A call that begins when the time is up may still take a moment.
        let bound = self.settings.shutdown + Duration::from_secs(1);
        match tokio::time::timeout(bound, &mut process.daemon).await {
            Ok(Ok(Ok(_))) => {}
            other => {
                let name = &process.machine.name;
                let how = format!("{name} was asked to stop: {other:?}");
                self.services.promises.is_broken(how);
            }
        }
        process.kill();
    }

    /// One machine works off what is left.
    async fn end(&self) {
        let ahead = Arc::new(AtomicI64::new(0));
        let mut process = self.start(self.plan.machines.len(), &mut 0, &ahead, Mode::Drain);
        match tokio::time::timeout(CALM, &mut process.daemon).await {
            Ok(Ok(Ok(_))) => {}
            other => {
                let how = format!("what is left is not worked off: {other:?}");
                self.services.promises.is_broken(how);
            }
        }
        process.kill();
    }

    fn start(
        &self,
        number: usize,
        starts: &mut u64,
        ahead: &Arc<AtomicI64>,
        mode: Mode,
    ) -> Process {
        *starts += 1;
        let name = format!("machine {number}.{starts}");
        self.services.note(&format!("{name} starts"));
        let scratch = Scratch::claim(&self.folder.join(&name)).unwrap();
        let machine = Arc::new(Machine::new(name));
        let clock = Arc::new(MachineClock {
            machine: Arc::clone(&machine),
            time: Arc::clone(&self.services.time),
            ahead: Arc::clone(ahead),
        });
        let remote = Arc::new(Remote {
            services: Arc::clone(&self.services),
            leases: Arc::new(self.services.leases.seen_by(clock.clone())),
            machine: Arc::clone(&machine),
        });
        let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(1000 * (number as u64 + 1) + *starts));
        let ports = Ports {
            objects: remote.clone(),
            queue: remote.clone(),
            leases: remote.clone(),
            runs: remote,
            clock,
            ids,
        };
        let stop = CancellationToken::new();
        let daemon = Daemon::new(ports, self.settings.clone(), scratch, stop.clone());
        Process {
            machine,
            stop,
            daemon: tokio::spawn(daemon.run(mode)),
        }
    }
}

/// What a producer does. None of its own calls fails.
async fn announce(services: Arc<Services>, arrival: Arrival) {
    let (key, collection) = (key(&arrival.run), name(arrival.collection));
    let deltas = [(collection.clone(), prefix(&arrival))];
    let mut is_recorded = false;
    let mut sent = arrival.sent;
    sent.sort_unstable();
    for at in sent {
        let left = at.saturating_sub(services.time.elapsed());
        services.time.sleep(left).await;
        let now = services.time.wall();
        if !is_recorded {
            let record = RunRecord::new(key.clone(), deltas.clone(), now);
            services.runs.create(&record).await.unwrap();
            is_recorded = true;
        }
        let announcement = Announcement {
            key: &key,
            deltas: &deltas,
            at: now,
            region: "local",
            stream_record_id: "simulation",
        };
        let (body, attributes) = encode(&announcement, &collection).unwrap();
        services.note(&format!("{} is announced", arrival.run));
        services.queue.send(&body, &attributes).await.unwrap();
    }
}
