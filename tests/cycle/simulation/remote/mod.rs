//! The services as a process reaches them: over a network that is slow, fails, and forgets answers.

mod objects;
mod queue;
mod tables;

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compactor_core::fakes::{FakeLeaseStore, FakeObjectStore, FakeQueue, FakeRunStore};
use compactor_core::ports::{Clock, Fault, PortError, PortResult};
use compactor_core::{CollectionName, Lineage, Version, keys};

use super::figures::Figures;
use super::machine::Machine;
use super::mistake::Mistake;
use super::plan::COLLECTIONS;
use super::promises::Promises;
use super::time::TrueTime;
use super::weather::{Fate, Weather};
use crate::world::name;

/// What all machines share.
pub(crate) struct Services {
    pub(crate) objects: Arc<FakeObjectStore>,
    pub(crate) queue: Arc<FakeQueue>,
    pub(crate) leases: Arc<FakeLeaseStore>,
    pub(crate) runs: Arc<FakeRunStore>,
    pub(crate) time: Arc<TrueTime>,
    pub(crate) weather: Weather,
    pub(crate) promises: Promises,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) diary: Mutex<Vec<String>>,
    pub(crate) figures: Mutex<Figures>,
}

impl Services {
    pub(crate) fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap());
    }

    /// After an object was written.
    fn written(&self, key: &str) {
        if key.ends_with("/latest-pointer.txt") {
            self.count(|figures| figures.versions += 1);
        }
        self.promises.written(key);
    }

    /// After an object was deleted.
    fn deleted(&self, key: &str) {
        let is_judged = self.promises.deleted(key);
        self.count(|figures| {
            figures.deleted += 1;
            figures.judged += u64::from(is_judged);
        });
    }

    pub(crate) async fn until(&self, at: Duration) {
        let left = at.saturating_sub(self.time.elapsed());
        self.time.sleep(left).await;
    }

    /// What is published of each collection.
    pub(crate) fn published(&self) -> Vec<(CollectionName, Version)> {
        let named = |collection: CollectionName| {
            let pointer = self
                .objects
                .body(&keys::pointer(&Lineage::from(&collection)))?;
            let version = std::str::from_utf8(&pointer).ok()?.parse().ok()?;
            Some((collection, version))
        };
        COLLECTIONS
            .map(name)
            .into_iter()
            .filter_map(named)
            .collect()
    }

    pub(crate) fn note(&self, what: &str) {
        let line = format!("{:>11.3}  {what}", self.time.elapsed().as_secs_f64());
        self.diary.lock().unwrap().push(line);
    }
}

/// The services, for one process.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) services: Arc<Services>,
    /// By this machine's clock.
    pub(crate) leases: Arc<FakeLeaseStore>,
    pub(crate) machine: Arc<Machine>,
}

impl Remote {
    async fn pass(&self, time: Duration) {
        self.services.time.sleep(time).await;
        self.machine.awake().await;
    }

    /// A call that changes nothing.
    async fn ask<T: Debug>(
        &self,
        operation: &'static str,
        about: &str,
        request: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        self.call(operation, about, false, request).await.1
    }

    /// A call that is to change something.
    async fn change<T: Debug>(
        &self,
        operation: &'static str,
        about: &str,
        request: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        self.call(operation, about, true, request).await.1
    }

    /// The answer, and what became of the call.
    async fn call<T: Debug>(
        &self,
        operation: &'static str,
        about: &str,
        changes: bool,
        request: impl Future<Output = PortResult<T>>,
    ) -> (Fate, PortResult<T>) {
        let weather = &self.services.weather;
        let (now, name) = (self.services.time.elapsed(), &self.machine.name);
        let forecast = weather.forecast(now, name, operation, about, changes);
        // On its way already: a process that is paused or killed meanwhile cannot call it back.
        self.services.time.sleep(forecast.before).await;
        let failed = |fault| Err(PortError::new(operation, about, fault, "by the weather"));
        let answer = match forecast.fate {
            Fate::Good => request.await,
            Fate::Unheard(fault) => {
                // Whether it went well is not heard either.
                let _ = request.await;
                failed(fault)
            }
            Fate::Refused(fault) => failed(fault),
            // `put` makes more of these two.
            Fate::Late(_) => failed(Fault::OutcomeUnknown),
            Fate::Conflict => failed(Fault::Transient),
        };
        self.services.count(|figures| {
            figures.calls += 1;
            figures.bad_calls += u64::from(forecast.fate != Fate::Good);
        });
        let said = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{:?}", forecast.fate) + " " + error.code(),
        };
        self.services
            .note(&format!("{name} {operation} {about}: {said}"));
        self.pass(forecast.after).await;
        (forecast.fate, answer)
    }
}
