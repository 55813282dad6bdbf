//! What producers and readers do with the services, without the program.

use std::path::Path;

use chroma_store::{CloseOptions, ClosedStore};
use compactor_core::message::{Announcement, encode};
use compactor_core::ports::{Attributes, Condition, Depth, ObjectStore, RunStore};
use compactor_core::{CollectionName, RunId, RunKey, RunRecord, keys};

use super::Deployment;
use crate::fixture::packed;

impl Deployment {
    /// The body of the object with this key, if there is one.
    pub async fn object(&self, key: &str) -> Option<Vec<u8>> {
        let objects = self.cloud.backend().await.objects;
        let found = objects.get(key, 1 << 30).await.unwrap();
        found.map(|object| object.body.to_vec())
    }

    /// Puts an object, whatever is there already.
    pub async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let objects = self.cloud.backend().await.objects;
        let (body, condition) = (body.into().into(), Condition::Always);
        let metadata = Attributes::new();
        let put = objects.put(key, body, condition, &metadata);
        put.await.unwrap();
    }

    /// The text of the pointer of `collection`, which names a version.
    pub async fn pointer(&self, collection: &str) -> Option<String> {
        let body = self
            .object(&format!("{collection}/snapshot/latest-pointer.txt"))
            .await;
        body.map(|body| String::from_utf8(body).unwrap())
    }

    /// The manifest of this version.
    pub async fn manifest(&self, collection: &str, version: &str) -> serde_json::Value {
        let key = format!("{collection}/snapshot/timestamped/{version}/manifest.json");
        serde_json::from_slice(&self.object(&key).await.unwrap()).unwrap()
    }

    /// The versions of `collection` that have objects, in the order of their keys.
    pub async fn versions(&self, collection: &str) -> Vec<String> {
        let prefix = format!("{collection}/snapshot/timestamped/");
        let keys = self.cloud.keys().await;
        let below = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
        let mut versions: Vec<String> = below
            .filter_map(|rest| Some(rest.split_once('/')?.0.to_owned()))
            .collect();
        versions.dedup();
        versions
    }

    /// Uploads the files of a closed directory, each as an object below `prefix`.
    pub async fn upload_files(&self, dir: &Path, prefix: &str) {
        let store = ClosedStore::prove(dir, &CloseOptions::default()).unwrap();
        for file in store.files().unwrap() {
            let body = std::fs::read(dir.join(&file.path)).unwrap();
            self.put(&format!("{prefix}{}", file.path), body).await;
        }
    }

    /// Uploads a closed directory as the archive of the delta at `prefix`.
    pub async fn upload_archive(&self, dir: &Path, prefix: &str) {
        let archive = packed(dir);
        self.put(&keys::delta_archive(prefix), archive).await;
    }

    /// Makes the record of a run and sends a message for each delta: collection and prefix. The deltas
    /// must be uploaded already.
    pub async fn announce(&self, run: &str, deltas: &[(&str, &str)]) {
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

    /// The numbers of the queue's messages.
    pub async fn depth(&self) -> Depth {
        let queue = self.cloud.backend().await.queue;
        queue.depth().await.unwrap()
    }

    /// State and error of the part of a run that is about `collection`.
    pub fn part(&self, run: &str, collection: &str) -> (String, String) {
        let parts = self.parts().into_iter();
        let mut found = parts.filter(|(id, name, ..)| id == run && name == collection);
        let (_, _, state, error) = found.next().unwrap();
        (state, error)
    }

    /// Drains the queue by the program. Gives the JSON that it prints.
    pub fn drain(&self) -> serde_json::Value {
        self.say("run --drain --json").json()
    }
}
