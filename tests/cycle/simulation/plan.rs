//! What happens in a seed, apart from the weather.

use std::ops::Range;
use std::time::Duration;

use compactor_core::manifest::Layout;
use fastrand::Rng;

use super::incident::Incident;
use super::weather::Climate;

/// How long it is rough in most seeds.
const ROUGH: Duration = Duration::from_secs(300);
/// A message must outlive every kill and every pause of a seed.
const MAX_RECEIVES: u32 = 1000;
/// How many different deltas there are per collection.
pub(crate) const DELTAS: usize = 12;
pub(crate) const COLLECTIONS: [&str; 2] = ["lines", "words"];

/// A run that is announced.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) run: String,
    pub(crate) collection: &'static str,
    /// Which delta; `None` if the object is no archive.
    pub(crate) delta: Option<usize>,
    /// When each of its messages is sent; the first with its record.
    pub(crate) sent: Vec<Duration>,
}

/// What happens to a machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// It is killed, and starts again after this time.
    Kill(Duration),
    /// It is asked to stop, and starts again when it has, after this time.
    Stop(Duration),
    /// It stands still for this time.
    Pause(Duration),
    /// Its wall clock is set this many seconds ahead, or behind if negative.
    SetClock(i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) climate: Climate,
    /// When the bucket is away.
    pub(crate) outage: Range<Duration>,
    /// What else happens, and lasts.
    pub(crate) incident: Option<Incident>,
    /// How long it is rough.
    pub(crate) rough: Duration,
    /// How often a message may be received.
    pub(crate) max_receives: u32,
    pub(crate) layout: Layout,
    pub(crate) workers: usize,
    pub(crate) arrivals: Vec<Arrival>,
    /// Per machine, in order of time.
    pub(crate) machines: Vec<Vec<(Duration, Event)>>,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let climate = Climate::of(&mut rng);
        let layout = match rng.u32(0..4) {
            0 => Layout::Archive,
            _ => Layout::Files,
        };
        let workers = rng.usize(1..=2);
        let machines = (0..rng.usize(1..=3)).map(|_| events(&mut rng)).collect();
        let outage = seconds(&mut rng, ROUGH.as_secs());
        let outage = outage..outage + seconds(&mut rng, 100);
        Self {
            climate,
            outage,
            incident: None,
            rough: ROUGH,
            max_receives: MAX_RECEIVES,
            layout,
            workers,
            arrivals: arrivals(&mut rng),
            machines,
        }
    }
}

fn seconds(rng: &mut Rng, most: u64) -> Duration {
    Duration::from_millis(rng.u64(0..most * 1000))
}

fn events(rng: &mut Rng) -> Vec<(Duration, Event)> {
    let mut events: Vec<_> = (0..rng.usize(0..6))
        .map(|_| {
            let event = match rng.u32(0..8) {
                0..4 => Event::Kill(seconds(rng, 30)),
                4 => Event::Stop(seconds(rng, 30)),
                5 | 6 => Event::Pause(seconds(rng, 150)),
                _ => Event::SetClock(rng.i64(-7200..7200)),
            };
            (seconds(rng, ROUGH.as_secs()), event)
        })
        .collect();
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Every delta at most once per collection; messages may come twice, the second ones late.
fn arrivals(rng: &mut Rng) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for collection in COLLECTIONS {
        for delta in 0..rng.usize(1..=DELTAS) {
            let at = seconds(rng, ROUGH.as_secs() - 60);
            let copies = *rng.choice(&[0, 0, 1, 2]).expect("some");
            let mut sent = vec![at];
            sent.extend((0..copies).map(|_| at + seconds(rng, 200)));
            arrivals.push(Arrival {
                run: format!("{collection}-{delta}"),
                collection,
                delta: (rng.u32(0..15) > 0).then_some(delta),
                sent,
            });
        }
    }
    arrivals
}
