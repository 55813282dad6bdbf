//! Deltas as producers make them, and the runs that announce them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, ClosedStore, CreateOptions, DOCUMENT_KEY, NewIds, Operation, SchemaLevel, Space,
    create,
};
use compactor_core::message::{Announcement, encode};
use compactor_core::ports::Attributes;
use compactor_core::{CollectionName, RunRecord, keys};
use compactor_daemon::{Error, Submission, Submitted, submit};

use crate::content::{Content, Record};
use crate::world::{Backend, World, key, name, run_id, settings};

/// What is to be in a delta.
#[derive(Debug, Clone)]
pub(crate) struct Delta {
    pub(crate) collection: String,
    pub(crate) space: Space,
    pub(crate) level: SchemaLevel,
    pub(crate) operations: Vec<Operation>,
}

impl Delta {
    pub(crate) fn new(collection: &str, operations: Vec<Operation>) -> Self {
        Self {
            collection: collection.to_owned(),
            space: Space::Cosine,
            level: SchemaLevel::L15,
            operations,
        }
    }

    /// `count` records whose ids begin with `prefix`.
    pub(crate) fn of(collection: &str, prefix: &str, count: usize) -> Self {
        let operations = (0..count).map(|at| upsert(&format!("{prefix}-{at}"), prefix, at));
        Self::new(collection, operations.collect())
    }

    /// Both, in this order.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.operations.extend(other.operations.iter().cloned());
        both
    }

    /// Writes and closes the delta in the new directory `dir`.
    pub(crate) fn write(&self, world: &World, dir: &Path) -> ClosedStore {
        let options = CreateOptions {
            collection: self.collection.clone(),
            space: self.space,
            level: self.level,
        };
        let ids = &world.ports.ids;
        let ids = NewIds {
            collection: ids.uuid(),
            vector_segment: ids.uuid(),
            metadata_segment: ids.uuid(),
        };
        let mut store = create(dir, &options, ids).unwrap();
        store
            .write(self.collection.as_str(), self.operations.clone())
            .unwrap();
        store.close(&CloseOptions::default()).unwrap()
    }

    /// What a reader finds of a delta that only upserts.
    pub(crate) fn content(&self) -> Content {
        let records = self.operations.iter();
        records
            .map(|operation| (operation.id.clone(), Record::of(operation)))
            .collect()
    }
}

/// One for the base, and those of two runs.
pub(crate) fn base_and_two() -> [Delta; 3] {
    [("base", 3), ("a", 2), ("b", 1)].map(|(name, records)| Delta::of("lines", name, records))
}

/// The content of several deltas that only upsert, each onto the ones before.
pub(crate) fn content_of<'d>(deltas: impl IntoIterator<Item = &'d Delta>) -> Content {
    deltas.into_iter().flat_map(Delta::content).collect()
}

/// A record that tells where it comes from.
pub(crate) fn upsert(id: &str, text: &str, number: usize) -> Operation {
    let small = f32::from(u16::try_from(number % 1000).unwrap());
    let vector = [small, 1.0, -0.5, small / 7.0];
    let number = i64::try_from(number).unwrap();
    let patch = vec![
        (
            DOCUMENT_KEY.to_owned(),
            Some(format!("{text} says {number}").as_str().into()),
        ),
        ("source".to_owned(), Some(text.into())),
        ("number".to_owned(), Some(number.into())),
    ];
    Operation::upsert(id, &vector, patch)
}

impl World {
    /// A new folder that lives as long as the world.
    pub(crate) fn folder(&self, named: &str) -> PathBuf {
        let kept = tempfile::Builder::new()
            .prefix(&format!("{named}-"))
            .tempdir_in(self.dir.path())
            .unwrap();
        kept.keep()
    }

    /// Submits a run with one delta per collection, as the command line does.
    pub(crate) fn submit(&self, run: &str, deltas: &[&Delta]) {
        self.try_submit(run, deltas).unwrap();
    }

    /// As [`World::submit`], where it may be refused.
    pub(crate) fn try_submit(&self, run: &str, deltas: &[&Delta]) -> Result<Submitted, Error> {
        let folder = self.folder(run);
        let mut places = BTreeMap::new();
        for delta in deltas {
            let dir = folder.join(&delta.collection);
            delta.write(self, &dir);
            places.insert(name(&delta.collection), dir);
        }
        self.submit_places(run, places)
    }

    /// Submits directories as they are.
    pub(crate) fn submit_places(
        &self,
        run: &str,
        places: BTreeMap<CollectionName, PathBuf>,
    ) -> Result<Submitted, Error> {
        let submission = Submission {
            run_id: Some(run_id(run)),
            deltas: places,
            region: "local".to_owned(),
            limits: settings().limits,
            admission: settings().admission,
            embedding_functions: Vec::new(),
        };
        self.wait(submit(&self.ports, submission))
    }

    /// Where a run's delta is by convention.
    pub(crate) fn prefix(&self, run: &str, collection: &str) -> String {
        keys::delta_prefix(&name(collection), &run_id(run))
    }

    /// Packs a directory as it is and uploads it as the run's delta.
    pub(crate) fn upload_packed(&self, run: &str, collection: &str, store: &ClosedStore) {
        self.upload_archive(run, collection, pack_as_it_is(store.dir()));
    }

    /// Uploads bytes as the archive of the run's delta.
    pub(crate) fn upload_archive(&self, run: &str, collection: &str, archive: Vec<u8>) {
        let prefix = self.prefix(run, collection);
        self.put(&keys::delta_archive(&prefix), archive);
    }

    /// Announces a run whose delta is in another bucket of the fakes.
    pub(crate) fn submit_elsewhere(&self, bucket: &str, run: &str, delta: &Delta) {
        let Backend::Fakes { objects, .. } = &self.backend else {
            unreachable!("only fakes have other buckets");
        };
        let store = delta.write(self, &self.folder(run));
        let prefix = self.prefix(run, &delta.collection);
        let archive = pack_as_it_is(store.dir());
        let other = objects.other(bucket);
        other.insert(&keys::delta_archive(&prefix), archive);
        self.announce_at(run, &delta.collection, &format!("s3://{bucket}/{prefix}"));
    }

    /// Uploads every file of a directory as an object of its own.
    pub(crate) fn upload_loose(&self, prefix: &str, store: &ClosedStore) {
        for file in store.files().unwrap() {
            let body = std::fs::read(store.dir().join(&file.path)).unwrap();
            self.put(&format!("{prefix}{}", file.path), body);
        }
    }

    /// Announces a run with the conventional prefix, whether or not its delta is there.
    pub(crate) fn announce(&self, run: &str, collection: &str) {
        self.announce_at(run, collection, &self.prefix(run, collection));
    }

    /// Announces a run: its record, then its message.
    pub(crate) fn announce_at(&self, run: &str, collection: &str, prefix: &str) {
        let deltas = [(name(collection), prefix.to_owned())];
        let record = RunRecord::new(key(run), deltas, self.ports.clock.wall());
        self.wait(self.ports.runs.create(&record)).unwrap();
        self.send_at(run, collection, prefix);
    }

    /// Sends the message of a run with the conventional prefix, for the first time or again.
    pub(crate) fn send(&self, run: &str, collection: &str) {
        self.send_at(run, collection, &self.prefix(run, collection));
    }

    pub(crate) fn send_at(&self, run: &str, collection: &str, prefix: &str) {
        let (key, deltas) = (key(run), [(name(collection), prefix.to_owned())]);
        let announcement = Announcement {
            key: &key,
            deltas: &deltas,
            at: self.ports.clock.wall(),
            region: "local",
            stream_record_id: "test",
        };
        let (body, attributes) = encode(&announcement, &name(collection)).unwrap();
        self.send_raw(&body, &attributes);
    }

    pub(crate) fn send_raw(&self, body: &str, attributes: &Attributes) {
        self.wait(self.ports.queue.send(body, attributes)).unwrap();
    }
}

/// Packs a folder even if it changed since it was proven closed; `pack` refuses such a folder.
fn pack_as_it_is(dir: &Path) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    archive.append_dir_all(".", dir).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}
