//! What a test stands on: one backend with its clock, the settings of the daemons that run on it,
//! and plain calls for everything that producers and operators do.

use std::sync::Arc;
use std::time::Duration;

use chroma_store::{MergeOptions, UnpackLimits, VerifyLevel};
use compactor_core::fakes::{
    FakeClock, FakeLeaseStore, FakeObjectStore, FakeQueue, FakeRunStore, SeededIds,
};
use compactor_core::lease::LeaseTerm;
use compactor_core::manifest::Layout;
use compactor_core::ports::{Acquired, Clock, Ids};
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;
use compactor_core::{CollectionName, Lineage, RunId, RunKey};
use compactor_daemon::{Admission, Ports, Settings, Unhandled};
use compactor_local::{LocalBackend, LocalOptions};
use compactor_snapshots::{FirstSnapshot, Limits};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::clock::AheadClock;
use crate::logs::Logs;

/// After how many receives a message is given up, unless a test says otherwise.
pub(crate) const MAX_RECEIVES: u32 = 3;

/// What a world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The fakes, on a clock that every wait moves.
    Fakes,
    /// The fakes, on a clock that runs: for tests that stop a daemon or look at what waits.
    FakesInRealTime,
    /// The local backend in a temporary directory.
    Local,
}

/// Makes two tests of a function that takes a world: over the fakes and over the local backend.
macro_rules! both {
    ($name:ident) => {
        both!($name, Fakes);
    };
    ($name:ident, in real time) => {
        both!($name, FakesInRealTime);
    };
    ($name:ident, $fakes:ident) => {
        mod $name {
            #[test]
            fn fakes() {
                super::$name(crate::world::World::new(crate::world::Kind::$fakes));
            }

            #[test]
            fn local() {
                super::$name(crate::world::World::new(crate::world::Kind::Local));
            }
        }
    };
}

/// The adapters by their own types, for calls that their ports do not have.
pub(crate) enum Backend {
    Fakes {
        objects: Arc<FakeObjectStore>,
        queue: Arc<FakeQueue>,
        leases: Arc<FakeLeaseStore>,
        runs: Arc<FakeRunStore>,
    },
    Local(LocalBackend),
}

enum Time {
    Fake(Arc<FakeClock>),
    Ahead(Arc<AheadClock>),
}

pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) backend: Backend,
    pub(crate) dir: TempDir,
    pub(crate) logs: Logs,
    time: Time,
    /// Taken only when the world ends.
    runtime: Option<Runtime>,
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with_max_receives(kind, MAX_RECEIVES)
    }

    pub(crate) fn with_max_receives(kind: Kind, max_receives: u32) -> Self {
        let time = match kind {
            Kind::Fakes => Time::Fake(Arc::new(FakeClock::auto())),
            Kind::FakesInRealTime | Kind::Local => Time::Ahead(Arc::default()),
        };
        Self::build(kind, max_receives, time, 7)
    }

    /// Another writer on the same objects and time, with a queue, leases and records of its own,
    /// so that nothing but the pointer stands between the two.
    pub(crate) fn rival(&self) -> Self {
        let time = match &self.time {
            Time::Fake(clock) => Time::Fake(Arc::clone(clock)),
            Time::Ahead(clock) => Time::Ahead(Arc::clone(clock)),
        };
        let mut rival = Self::build(self.kind, MAX_RECEIVES, time, 1_000_007);
        rival.ports.objects = Arc::clone(&self.ports.objects);
        rival
    }

    fn build(kind: Kind, max_receives: u32, time: Time, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = match &time {
            Time::Fake(clock) => clock.clone(),
            Time::Ahead(clock) => clock.clone(),
        };
        let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(seed));
        let (backend, ports) = if kind == Kind::Local {
            local(&dir, clock, ids, max_receives)
        } else {
            fakes(clock, ids, max_receives)
        };
        Self {
            kind,
            ports,
            settings: settings(),
            backend,
            dir,
            logs: Logs::default(),
            time,
            runtime: Builder::new_current_thread().enable_all().build().ok(),
        }
    }

    /// The same world with other settings.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// From now on daemons may log lines with any of these `parts` at WARN or ERROR.
    pub(crate) fn expects(&self, parts: &[&'static str]) {
        self.logs.expect(parts);
    }

    /// Waits for one call of a port.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(call)
    }

    /// Lets time pass until every lease and every visibility of a daemon that ended is over.
    pub(crate) fn let_everything_expire(&self) {
        self.advance(self.settings.visibility + self.settings.lease.term() * 2);
    }

    pub(crate) fn advance(&self, by: Duration) {
        match &self.time {
            Time::Fake(clock) => clock.advance(by),
            Time::Ahead(clock) => clock.advance(by),
        }
    }

    /// Whether a new worker gets the collection's lease at once.
    pub(crate) fn lease_is_free(&self, collection: &str) -> bool {
        let (leases, owner) = (self.ports.leases.as_ref(), self.ports.ids.uuid());
        let lineage = lineage(collection);
        let asked = leases.acquire(&lineage, owner, Duration::from_secs(1));
        let free = self.wait(asked).unwrap() == Acquired::Held;
        if free {
            self.wait(leases.release(&lineage, owner)).unwrap();
        }
        free
    }
}

impl Drop for World {
    /// Fails the test if a daemon logged a line that the test does not expect.
    ///
    /// A world may end inside a daemon's runtime, which may not wait for another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let unexpected = self.logs.take_unexpected();
        if !std::thread::panicking() {
            assert!(unexpected.is_empty(), "not expected: {unexpected:#?}");
        }
    }
}

/// The lineage of a collection.
pub(crate) fn lineage(collection: &str) -> Lineage {
    name(collection).into()
}

pub(crate) fn name(collection: &str) -> CollectionName {
    collection.parse().unwrap()
}

pub(crate) fn run_id(run: &str) -> RunId {
    run.parse().unwrap()
}

pub(crate) fn key(run: &str) -> RunKey {
    RunKey::plain(run_id(run))
}

fn fakes(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, max_receives: u32) -> (Backend, Ports) {
    let objects = Arc::new(FakeObjectStore::new(clock.clone()));
    let queue = Arc::new(FakeQueue::new(clock.clone(), ids.clone(), max_receives));
    let leases = Arc::new(FakeLeaseStore::new(clock.clone()));
    let runs = Arc::new(FakeRunStore::new());
    let ports = Ports {
        objects: objects.clone(),
        queue: queue.clone(),
        leases: leases.clone(),
        runs: runs.clone(),
        clock,
        ids,
    };
    let backend = Backend::Fakes {
        objects,
        queue,
        leases,
        runs,
    };
    (backend, ports)
}

fn local(
    dir: &TempDir,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    max_receives: u32,
) -> (Backend, Ports) {
    let options = LocalOptions {
        max_receives,
        ..LocalOptions::default()
    };
    let root = dir.path().join("store");
    let backend = LocalBackend::open(&root, clock.clone(), ids.clone(), options).unwrap();
    let ports = Ports {
        objects: backend.objects.clone(),
        queue: backend.queue.clone(),
        leases: backend.leases.clone(),
        runs: backend.runs.clone(),
        clock,
        ids,
    };
    (Backend::Local(backend), ports)
}

/// Short waits between attempts; leases and visibility so long that only a test ends them.
pub(crate) fn settings() -> Settings {
    let seconds = Duration::from_secs;
    let lease = LeaseTerm::new(seconds(300), seconds(15), seconds(2), seconds(10));
    Settings {
        workers: 2,
        batch_runs: 100,
        in_flight: 100,
        visibility: seconds(120),
        poll_wait: Duration::from_millis(20),
        unhandled: Unhandled::DeadLetter,
        lease: lease.unwrap(),
        backoff: Backoff {
            first: Duration::from_millis(2),
            max: Duration::from_millis(20),
        },
        attempts: 3,
        rebases: 3,
        max_shrink: 50,
        shutdown: seconds(25),
        merge: MergeOptions::default(),
        flush_backlog: 0,
        verify: VerifyLevel::Full,
        close_wait: seconds(2),
        limits: Limits {
            archive_bytes: 8 << 20,
            unpacked: UnpackLimits {
                bytes: 64 << 20,
                ratio: 50,
                entries: 40,
            },
            batch_bytes: 256 << 20,
            value_bytes: 1 << 20,
            snapshot_bytes: 256 << 20,
            transfers: 4,
        },
        admission: Admission::default(),
        embedding_functions: Vec::new(),
        layout: Layout::Files,
        first: FirstSnapshot::LikeDelta,
        retention: RetentionPolicy {
            versions: 1,
            age: Duration::ZERO,
        },
        // Never, in the time of a test.
        clean_up_every: Duration::from_secs(1 << 32),
        created_by: "the tests of the cycle".to_owned(),
    }
}
