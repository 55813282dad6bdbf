//! How the calls of a seed go: how long they take, and which of them fail.
//!
//! What becomes of a call depends on the seed, who calls what, and how often it did before: never
//! on what others did meanwhile. So one difference does not make everything different.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compactor_core::ports::Fault;
use fastrand::Rng;

use super::incident::Incident;
use super::plan::Plan;

/// What does not work while the bucket is away. Messages go on coming.
pub(crate) const OF_THE_BUCKET: [&str; 10] = [
    "get",
    "get_range",
    "head",
    "download",
    "put",
    "upload",
    "copy",
    "list",
    "list_folders",
    "delete",
];

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it should.
    Good,
    /// With an error and no effect.
    Refused(Fault),
    /// With an effect and an error: the answer is lost.
    Unheard(Fault),
    /// With an error, and this long afterwards with an effect. Only for puts.
    Late(Duration),
    /// With 409 and no effect. Only for conditional puts.
    Conflict,
}

/// What is to become of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forecast {
    /// Until it has an effect.
    pub(crate) before: Duration,
    pub(crate) fate: Fate,
    /// Until it is answered.
    pub(crate) after: Duration,
}

/// How many of a thousand calls fail, and how many are slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Climate {
    pub(crate) fail: u32,
    pub(crate) slow: u32,
}

impl Climate {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let fail = *rng.choice(&[0, 5, 20, 80]).expect("some");
        let slow = *rng.choice(&[0, 2, 10, 40]).expect("some");
        Self { fail, slow }
    }
}

pub(crate) struct Weather {
    seed: u64,
    climate: Climate,
    outage: Range<Duration>,
    incident: Option<Incident>,
    calm: AtomicBool,
    calls: Mutex<HashMap<u64, u64>>,
}

impl Weather {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
        Self {
            seed,
            climate: plan.climate,
            outage: plan.outage.clone(),
            incident: plan.incident.clone(),
            calm: AtomicBool::new(false),
            calls: Mutex::default(),
        }
    }

    /// From now on nothing fails, and everything is quick.
    pub(crate) fn turn_calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// What is to become of this call at this time; `changes` whether it is to change something.
    pub(crate) fn forecast(
        &self,
        now: Duration,
        who: &str,
        what: &str,
        about: &str,
        changes: bool,
    ) -> Forecast {
        let mut rng = self.chances(who, what, about);
        let quick = |rng: &mut Rng| Duration::from_millis(rng.u64(1..40));
        let mut forecast = Forecast {
            before: quick(&mut rng),
            fate: Fate::Good,
            after: quick(&mut rng),
        };
        if self.calm.load(Ordering::Relaxed) {
            return forecast;
        }
        if self.outage.contains(&now) && OF_THE_BUCKET.contains(&what) {
            forecast.fate = Fate::Refused(Fault::Transient);
            return forecast;
        }
        let ends = self.incident.as_ref().and_then(|one| one.ends(now, what));
        if let Some((fault, after)) = ends {
            forecast.before += after;
            forecast.fate = Fate::Refused(fault);
            return forecast;
        }
        // Where it matters most: what was true when the pointer was read is not any more.
        let is_put = what == "put" && about.ends_with("/latest-pointer.txt");
        let weight = if is_put { 5 } else { 1 };
        if rng.u32(0..1000) < self.climate.slow * weight {
            // Past visibility and lease sometimes.
            let long = Duration::from_millis(rng.u64(1000..90_000));
            match rng.bool() {
                true => forecast.before = long,
                false => forecast.after = long,
            }
        }
        if rng.u32(0..1000) < self.climate.fail * weight {
            forecast.fate = bad(&mut rng, changes);
        }
        forecast
    }

    fn chances(&self, who: &str, what: &str, about: &str) -> Rng {
        let mut call = DefaultHasher::new();
        (self.seed, who, what, about).hash(&mut call);
        let call = call.finish();
        let mut calls = self.calls.lock().unwrap();
        let before = calls.entry(call).or_default();
        *before += 1;
        Rng::with_seed(call.wrapping_add(before.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

fn bad(rng: &mut Rng, changes: bool) -> Fate {
    let heard = [Fault::Transient, Fault::Throttled];
    let fault = *rng.choice(&heard).expect("some");
    if !changes {
        return Fate::Refused(fault);
    }
    match rng.u32(0..5) {
        0 | 1 => Fate::Refused(fault),
        2 => Fate::Conflict,
        3 => Fate::Unheard(Fault::OutcomeUnknown),
        _ => Fate::Late(Duration::from_millis(rng.u64(1..60_000))),
    }
}
