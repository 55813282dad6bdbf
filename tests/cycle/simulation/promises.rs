//! What must hold whenever something changes that others see. Broken promises are written down,
//! not panicked about: the daemon would take a panic for its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chroma_store::unpack;
use compactor_core::fakes::FakeObjectStore;
use compactor_core::manifest::Layout;
use compactor_core::{CollectionName, Lineage, Manifest, RunKey, Version, keys};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::plan::COLLECTIONS;
use super::readers::Readers;
use super::time::TrueTime;
use crate::world::{name, settings};

pub(crate) struct Promises {
    objects: Arc<FakeObjectStore>,
    newest: Mutex<BTreeMap<CollectionName, Manifest>>,
    readers: Mutex<Readers>,
    time: Arc<TrueTime>,
    broken: Mutex<Vec<String>>,
}

impl Promises {
    pub(crate) fn new(objects: Arc<FakeObjectStore>, time: Arc<TrueTime>) -> Self {
        Self {
            objects,
            newest: Mutex::default(),
            readers: Mutex::default(),
            time,
            broken: Mutex::default(),
        }
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }

    pub(crate) fn is_broken(&self, how: String) {
        self.broken.lock().unwrap().push(how);
    }

    fn hold(&self, what: &str, check: Result<(), String>) {
        if let Err(how) = check {
            self.is_broken(format!("{what}: {how}"));
        }
    }

    /// After every object that was written.
    pub(crate) fn written(&self, key: &str) {
        for collection in COLLECTIONS.map(name) {
            if key == keys::pointer(&Lineage::from(&collection)) {
                self.hold(key, self.is_whole(&collection));
                self.hold(key, self.continues(&collection));
                if let Ok(Some(version)) = self.published(&collection) {
                    let now = self.time.elapsed();
                    self.readers
                        .lock()
                        .unwrap()
                        .published(&collection, version, now);
                }
            }
        }
    }

    /// After every object that was deleted. Returns whether it was judged: whether it was checked how
    /// long ago the pointer moved past its version.
    pub(crate) fn deleted(&self, key: &str) -> bool {
        let now = self.time.elapsed();
        let judged = self.readers.lock().unwrap().deleted(key, now);
        judged.unwrap_or_else(|how| {
            self.is_broken(how);
            true
        })
    }

    /// The clock of a machine was set this many seconds ahead of the true time.
    pub(crate) fn clock_set(&self, seconds: i64) {
        self.readers.lock().unwrap().clock_set(seconds);
    }

    /// After every record that says COMPLETED.
    pub(crate) fn completed(&self, run: &RunKey, collection: &CollectionName) {
        let newest = self.newest.lock().unwrap();
        let is_there = newest
            .get(collection)
            .is_some_and(|manifest| manifest.contains_run(&run.run_id));
        if !is_there {
            self.is_broken(format!("{} is completed and not published", run.run_id));
        }
    }

    fn published(&self, collection: &CollectionName) -> Result<Option<Version>, String> {
        let Some(pointer) = self
            .objects
            .body(&keys::pointer(&Lineage::from(collection)))
        else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&pointer);
        let version = text.trim().parse();
        version
            .map(Some)
            .map_err(|error| format!("the pointer says {text:?}: {error}"))
    }

    fn manifest(&self, collection: &CollectionName) -> Result<Manifest, String> {
        let version = self.published(collection)?.ok_or("nothing is published")?;
        let json = self
            .objects
            .body(&keys::manifest(&Lineage::from(collection), &version));
        let json = json.ok_or_else(|| format!("{version} has no manifest"))?;
        Manifest::parse(&json).map_err(|error| format!("{version}: {error}"))
    }

    /// Invariant I1.
    fn is_whole(&self, collection: &CollectionName) -> Result<(), String> {
        let manifest = self.manifest(collection)?;
        let version = &manifest.version;
        let archive = match manifest.layout {
            Layout::Files => None,
            Layout::Archive => {
                Some(self.unpacked(&keys::snapshot_archive(&Lineage::from(collection), version))?)
            }
        };
        for file in &manifest.files {
            let (key, body) = match &archive {
                None => {
                    let key = keys::file(&Lineage::from(collection), version, &file.path);
                    let body = self.objects.body(&key).map(Vec::from);
                    (key, body)
                }
                Some(folder) => {
                    let path = folder.path().join(&file.path);
                    (path.display().to_string(), std::fs::read(path).ok())
                }
            };
            let body = body.ok_or_else(|| format!("{key} is missing"))?;
            let sha256 = hex::encode(Sha256::digest(&body));
            if (body.len() as u64, &sha256) != (file.size, &file.sha256) {
                return Err(format!("{key} is not what its manifest says"));
            }
        }
        Ok(())
    }

    fn unpacked(&self, key: &str) -> Result<TempDir, String> {
        let packed = self.objects.body(key);
        let packed = packed.ok_or_else(|| format!("{key} is missing"))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let size = packed.len() as u64;
        let unpacking = unpack(&packed[..], size, folder.path(), settings().limits.unpacked);
        let unpacked = unpacking.map_err(|error| format!("{key}: {error}"));
        unpacked.map(|_| folder)
    }

    /// Invariants I2 and I3: versions grow, and so do their runs.
    fn continues(&self, collection: &CollectionName) -> Result<(), String> {
        let manifest = self.manifest(collection)?;
        let mut newest = self.newest.lock().unwrap();
        let before = newest.insert(collection.clone(), manifest.clone());
        let Some(before) = before else {
            return Ok(());
        };
        if manifest.version < before.version {
            return Err(format!("{} after {}", manifest.version, before.version));
        }
        let lost = before.applied_runs.iter();
        let lost: Vec<_> = lost.filter(|run| !manifest.contains_run(run)).collect();
        match lost.is_empty() {
            true => Ok(()),
            false => Err(format!("{} has lost {lost:?}", manifest.version)),
        }
    }
}
