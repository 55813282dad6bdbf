//! What producers, operators and readers do, past the binary.

use std::path::Path;

use chroma_store::{CloseOptions, ClosedStore, pack};
use compactor_core::message::{Announcement, encode};
use compactor_core::ports::{Attributes, Condition, Depth, ObjectStore, RunStore};
use compactor_core::{CollectionName, RunId, RunKey, RunRecord, keys};

use crate::deployment::Deployment;

impl Deployment {
    /// The object's body, if it is there.
    pub(crate) async fn object(&self, key: &str) -> Option<Vec<u8>> {
        let objects = self.cloud.backend().await.objects;
        let found = objects.get(key, 1 << 30).await.unwrap();
        found.map(|object| object.body.to_vec())
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let objects = self.cloud.backend().await.objects;
        let (body, condition) = (body.into().into(), Condition::Always);
        let metadata = Attributes::new();
        let put = objects.put(key, body, condition, &metadata);
        put.await.unwrap();
    }

    /// What the pointer names.
    pub(crate) async fn pointer(&self, collection: &str) -> Option<String> {
        let body = self
            .object(&format!("{collection}/snapshot/latest-pointer.txt"))
            .await;
        body.map(|body| String::from_utf8(body).unwrap())
    }

    /// The version's manifest.
    pub(crate) async fn manifest(&self, collection: &str, version: &str) -> serde_json::Value {
        let key = format!("{collection}/snapshot/timestamped/{version}/manifest.json");
        serde_json::from_slice(&self.object(&key).await.unwrap()).unwrap()
    }

    /// Every version that has objects.
    pub(crate) async fn versions(&self, collection: &str) -> Vec<String> {
        let prefix = format!("{collection}/snapshot/timestamped/");
        let keys = self.cloud.keys().await;
        let below = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
        let mut versions: Vec<String> = below
            .filter_map(|rest| Some(rest.split_once('/')?.0.to_owned()))
            .collect();
        versions.dedup();
        versions
    }

    /// Uploads a directory as loose objects.
    pub(crate) async fn upload_files(&self, dir: &Path, prefix: &str) {
        let store = ClosedStore::prove(dir, &CloseOptions::default()).unwrap();
        for file in store.files().unwrap() {
            let body = std::fs::read(dir.join(&file.path)).unwrap();
            self.put(&format!("{prefix}{}", file.path), body).await;
        }
    }

    /// Uploads a directory as an archive.
    pub(crate) async fn upload_archive(&self, dir: &Path, prefix: &str) {
        let archive = packed(dir);
        self.put(&keys::delta_archive(prefix), archive).await;
    }

    /// Makes the record of a run and sends its messages; the deltas are there already.
    pub(crate) async fn announce(&self, run: &str, deltas: &[(&str, &str)]) {
        let backend = self.cloud.backend().await;
        let run: RunId = run.parse().unwrap();
        let key = RunKey::plain(run);
        let own = |(name, prefix): &(&str, &str)| {
            let name: CollectionName = name.parse().unwrap();
            (name, (*prefix).to_owned())
        };
        let deltas: Vec<_> = deltas.iter().map(own).collect();
        let at = self.cloud.clock.wall();
        let record = RunRecord::new(key.clone(), deltas.clone(), at);
        backend.runs.create(&record).await.unwrap();
        for (collection, _) in &deltas {
            let announcement = Announcement {
                key: &key,
                deltas: &deltas,
                at,
                region: "us-east-1",
                stream_record_id: "c81e728d",
            };
            let (body, attributes) = encode(&announcement, collection).unwrap();
            backend.queue.send(&body, &attributes).await.unwrap();
        }
    }

    /// How many messages there are.
    pub(crate) async fn depth(&self) -> Depth {
        let queue = self.cloud.backend().await.queue;
        queue.depth().await.unwrap()
    }

    /// State and error of one part of a run.
    pub(crate) fn part(&self, run: &str, collection: &str) -> (String, String) {
        let parts = self.parts().into_iter();
        let mut found = parts.filter(|(id, name, ..)| id == run && name == collection);
        let (_, _, state, error) = found.next().unwrap();
        (state, error)
    }

    /// Works until nothing is left, and says what was done.
    pub(crate) fn drain(&self) -> serde_json::Value {
        self.say("run --drain --json").json()
    }
}

/// A directory as a gzip tar.
pub(crate) fn packed(dir: &Path) -> Vec<u8> {
    let store = ClosedStore::prove(dir, &CloseOptions::default()).unwrap();
    pack(&store, &[], Vec::new()).unwrap()
}

/// The ids that `directory` gives the records of `name`.
pub(crate) fn ids(names: &[(&str, usize)]) -> Vec<String> {
    let records = names
        .iter()
        .flat_map(|(name, records)| (0..*records).map(move |n| format!("{name}-{n}")));
    let mut ids: Vec<String> = records.collect();
    ids.sort();
    ids
}
