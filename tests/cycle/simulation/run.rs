//! One seed, from the first message to the last look at what was published.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chroma_store::{CloseOptions, CreateOptions, NewIds, SchemaLevel, Space, create, pack};
use compactor_core::fakes::{FakeLeaseStore, FakeObjectStore, FakeQueue, FakeRunStore, SeededIds};
use compactor_core::lease::LeaseTerm;
use compactor_core::ports::{Clock, Ids};
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;
use compactor_core::{RunState, keys};
use compactor_daemon::Settings;
use tracing::dispatcher;
use uuid::Uuid;

use super::figures::Figures;
use super::mistake::Mistake;
use super::plan::{Arrival, COLLECTIONS, DELTAS, Plan};
use super::promises::Promises;
use super::remote::Services;
use super::stage::Stage;
use super::time::TrueTime;
use super::watch::watched;
use super::weather::Weather;
use crate::deltas::{Delta, content_of};
use crate::world::{Kind, World, name};

/// What daemons may say at WARN or ERROR in such weather.
const EXPECTED: &[&str] = &[
    "by the weather",
    "trying again",
    "CS-ARCHIVE-DAMAGED",
    "CC-SWAP-UNKNOWN",
    "CC-LEASE-LOST",
    "stopping without waiting any longer",
    "messages could not be given back in time",
];

/// What came of a seed.
pub(crate) struct Outcome {
    /// Promises that were not kept.
    pub(crate) broken: Vec<String>,
    /// What daemons said at WARN or ERROR that does not belong to the weather.
    pub(crate) said: Vec<String>,
    /// Every call and every event, with its time in seconds.
    pub(crate) diary: Vec<String>,
    pub(crate) figures: Figures,
}

/// Plays a seed.
pub(crate) fn simulate(seed: u64, mistake: Option<Mistake>) -> Outcome {
    play(seed, &Plan::of(seed), mistake)
}

/// Plays a plan; the weather is that of the seed.
pub(crate) fn play(seed: u64, plan: &Plan, mistake: Option<Mistake>) -> Outcome {
    let mut world = World::new(Kind::Fakes).with(|settings| change(settings, plan));
    world.expects(EXPECTED);
    if let Some(incident) = &plan.incident {
        world.expects(incident.expected());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        // Blocking work runs one at a time and in order. Its ends are looked at when no task has
        // anything else to do, or they would race.
        .max_blocking_threads(1)
        .global_queue_interval(u32::MAX)
        .on_thread_start(world.logs.on_thread_start())
        .build()
        .unwrap();
    let played = async {
        let services = Arc::new(services(seed, plan, mistake));
        let stage = Stage {
            settings: world.settings.clone(),
            folder: world.folder("machines"),
            services: Arc::clone(&services),
            plan,
        };
        stage.play().await;
        services
    };
    let services = watched(seed, || {
        dispatcher::with_default(&world.logs.dispatch(), || runtime.block_on(played))
    });
    drop(runtime);
    world.ports.objects = services.objects.clone();
    world.ports.runs = services.runs.clone();
    // What is broken already cannot always be read.
    if services.promises.broken().is_empty() {
        look(&world, plan, &services);
    }
    Outcome {
        broken: services.promises.broken(),
        said: world.logs.take_unexpected(),
        diary: services.diary.lock().unwrap().clone(),
        figures: Figures {
            seeds: 1,
            runs: plan.arrivals.len() as u64,
            ..services.figures.lock().unwrap().clone()
        },
    }
}

fn services(seed: u64, plan: &Plan, mistake: Option<Mistake>) -> Services {
    let time = Arc::new(TrueTime::new());
    let clock: Arc<dyn Clock> = time.clone();
    let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(seed));
    let objects = Arc::new(FakeObjectStore::new(clock.clone()));
    for arrival in &plan.arrivals {
        let body = arrival
            .delta
            .map_or(&b"no archive"[..], |_| archive(arrival));
        let prefix = prefix(arrival);
        objects.insert(&keys::delta_archive(&prefix), body.to_vec());
    }
    Services {
        promises: Promises::new(Arc::clone(&objects), Arc::clone(&time)),
        objects,
        queue: Arc::new(FakeQueue::new(clock.clone(), ids, plan.max_receives)),
        leases: Arc::new(FakeLeaseStore::new(clock)),
        runs: Arc::new(FakeRunStore::new()),
        time,
        weather: Weather::new(seed, plan),
        mistake,
        diary: Default::default(),
        figures: Default::default(),
    }
}

/// Where the delta of a run is.
pub(crate) fn prefix(arrival: &Arrival) -> String {
    let run = arrival.run.parse().unwrap();
    keys::delta_prefix(&name(arrival.collection), &run)
}

/// How many versions are kept, the published one among them.
pub(crate) const VERSIONS: usize = 2;
/// And for how long: ten times the lease, the least that the configuration allows.
pub(crate) const AGE: Duration = Duration::from_secs(150);

fn change(settings: &mut Settings, plan: &Plan) {
    let seconds = Duration::from_secs;
    settings.workers = plan.workers;
    settings.layout = plan.layout;
    settings.visibility = seconds(60);
    settings.poll_wait = seconds(10);
    settings.lease = LeaseTerm::new(seconds(15), seconds(4), seconds(2), seconds(5)).unwrap();
    settings.backoff = Backoff {
        first: Duration::from_millis(200),
        max: seconds(10),
    };
    settings.retention = RetentionPolicy {
        versions: VERSIONS,
        age: AGE,
    };
    settings.clean_up_every = seconds(30);
}

/// The last look: everything good is published once, and said to be.
fn look(world: &World, plan: &Plan, services: &Services) {
    let promises = &services.promises;
    for collection in COLLECTIONS {
        let arrivals = plan.arrivals.iter();
        let arrivals = arrivals.filter(|arrival| arrival.collection == collection);
        let (good, bad): (Vec<&Arrival>, Vec<_>) =
            arrivals.partition(|arrival| arrival.delta.is_some());
        for arrival in &bad {
            let state = world.state(&arrival.run, collection);
            if state != RunState::Failed {
                promises.is_broken(format!("the bad {} is {state:?}", arrival.run));
            }
        }
        for arrival in &good {
            let part = world.part(&arrival.run, collection);
            let records = delta(arrival).content().len() as u64;
            if (part.state, part.merged_vectors) != (RunState::Completed, records) {
                promises.is_broken(format!("{} is {part:?}", arrival.run));
            }
        }
        if good.is_empty() {
            continue;
        }
        let snapshot = world.snapshot(collection).unwrap();
        if snapshot.content != content_of(good.iter().map(|arrival| delta(arrival))) {
            promises.is_broken(format!("{collection} has another content"));
        }
        let mut lineage = snapshot.lineage();
        lineage.sort_unstable();
        let mut runs: Vec<&str> = good.iter().map(|arrival| arrival.run.as_str()).collect();
        runs.sort_unstable();
        if lineage != runs {
            promises.is_broken(format!("{collection} is of {lineage:?}, not {runs:?}"));
        }
    }
    for letter in services.queue.dead_letters() {
        let is_bad = |arrival: &Arrival| arrival.delta.is_none();
        let mut bad = plan.arrivals.iter().filter(|arrival| is_bad(arrival));
        if !bad.any(|arrival| letter.body.contains(&format!("\"{}\"", arrival.run))) {
            promises.is_broken(format!("a good run was given up: {letter:?}"));
        }
    }
}

fn delta(arrival: &Arrival) -> &'static Delta {
    &stock()[place(arrival)].0
}

fn archive(arrival: &Arrival) -> &'static [u8] {
    &stock()[place(arrival)].1
}

fn place(arrival: &Arrival) -> usize {
    let collection = COLLECTIONS
        .iter()
        .position(|name| *name == arrival.collection);
    collection.unwrap() * DELTAS + arrival.delta.unwrap()
}

/// A directory of a collection without records, packed.
pub(crate) fn empty_archive(collection: &str) -> Vec<u8> {
    let options = CreateOptions {
        collection: collection.to_owned(),
        space: Space::L2,
        level: SchemaLevel::L06,
    };
    let [collection, vector_segment, metadata_segment] = [1, 2, 3].map(Uuid::from_u128);
    let ids = NewIds {
        collection,
        vector_segment,
        metadata_segment,
    };
    let folder = tempfile::tempdir().unwrap();
    let store = create(&folder.path().join("dir"), &options, ids).unwrap();
    let store = store.close(&CloseOptions::default()).unwrap();
    pack(&store, &[], Vec::new()).unwrap()
}

/// All deltas that there are, packed; made once for all seeds.
fn stock() -> &'static [(Delta, Vec<u8>)] {
    static STOCK: OnceLock<Vec<(Delta, Vec<u8>)>> = OnceLock::new();
    STOCK.get_or_init(|| {
        let world = World::new(Kind::Fakes);
        let each = COLLECTIONS
            .into_iter()
            .flat_map(|collection| (0..DELTAS).map(move |number| (collection, number)));
        each.map(|(collection, number)| {
            let delta = Delta::of(
                collection,
                &format!("{collection}-{number}"),
                1 + number % 3,
            );
            let store = delta.write(&world, &world.folder("delta").join("dir"));
            let archive = pack(&store, &[], Vec::new()).unwrap();
            (delta, archive)
        })
        .collect()
    })
}
