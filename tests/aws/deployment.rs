//! A deployment of the binary: settings for one test's bucket, queue and table.

use std::process::{Child, Stdio};

use compactor_aws::AwsBackend;
use compactor_core::CollectionName;
use compactor_core::ports::Attributes;
use serde_json::Value;

use crate::cloud::Cloud;
use crate::emulator::endpoint;
use crate::place::{Place, Said};

/// One test's cloud, and a place to call the binary in.
pub(crate) struct Deployment {
    pub(crate) cloud: Cloud,
    pub(crate) place: Place,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self::on(Cloud::new(3).await)
    }

    pub(crate) fn on(cloud: Cloud) -> Self {
        let place = Place::new();
        let options = &cloud.options;
        let settings = format!(
            "[storage]\nbackend = \"aws\"\npath = \"work\"\n\
             [aws]\nregion = \"us-east-1\"\nendpoint = \"{}\"\nbucket = \"{}\"\n\
             queue_url = \"{}\"\ntable = \"{}\"\n\
             [queue]\nvisibility = \"5s\"\n\
             [lease]\nterm = \"10s\"\nrenew_every = \"3s\"\nskew_margin = \"1s\"\n\
             [retry]\nfirst = \"100ms\"\nmax = \"1s\"\nattempts = 3\n",
            endpoint(),
            options.bucket,
            options.queue_url,
            options.table,
        );
        place.write("aws.toml", &settings);
        Self { cloud, place }
    }

    /// A command with these settings.
    pub(crate) fn say(&self, line: &str) -> Said {
        Said::by(&mut self.command(line))
    }

    /// A daemon beside others, which drains the queue.
    pub(crate) fn spawn_drain(&self) -> Child {
        let mut command = self.command("run --drain");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn command(&self, line: &str) -> std::process::Command {
        let words = line.split_whitespace().chain(["--config", "aws.toml"]);
        let mut command = self.place.command(words);
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// State and error of every part of every run, by run and collection.
    pub(crate) fn parts(&self) -> Vec<(String, String, String, String)> {
        let runs = self.say("runs --limit 1000 --json").json();
        let mut parts = Vec::new();
        for run in runs.as_array().unwrap() {
            let id = run["key"]["run_id"].as_str().unwrap();
            for (collection, part) in run["parts"].as_object().unwrap() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (state, error) = (text(&part["state"]), text(&part["error"]));
                parts.push((id.to_owned(), collection.clone(), state, error));
            }
        }
        parts.sort();
        parts
    }

    /// Every record id of the published snapshot of `collection`, read as a reader would.
    pub(crate) async fn published(&self, collection: &str) -> Vec<String> {
        let backend = self.cloud.backend().await;
        let collection: CollectionName = collection.parse().unwrap();
        let objects: std::sync::Arc<dyn compactor_core::ports::ObjectStore> = backend.objects;
        let published = compactor_daemon::resolve(objects.as_ref(), &collection).await;
        let published = published.unwrap().expect("something is published");
        let folder = tempfile::tempdir().unwrap();
        let limits = compactor_daemon::Limits {
            archive_bytes: 1 << 30,
            unpacked: chroma_store::UnpackLimits {
                bytes: 1 << 30,
                ratio: 1000,
                entries: 100,
            },
            snapshot_bytes: 1 << 30,
            transfers: 4,
        };
        compactor_daemon::download(&objects, &published, folder.path(), &limits)
            .await
            .unwrap();
        let verified =
            chroma_store::verify(folder.path(), chroma_store::VerifyLevel::Full).unwrap();
        assert!(verified.is_sound(), "{verified:?}");
        let database = rusqlite::Connection::open(folder.path().join("chroma.sqlite3")).unwrap();
        let mut statement = database
            .prepare("SELECT embedding_id FROM embeddings ORDER BY embedding_id")
            .unwrap();
        let ids = statement.query_map([], |row| row.get(0)).unwrap();
        ids.map(|id| id.unwrap()).collect()
    }

    pub(crate) async fn send(&self, body: &str, attributes: &[(&str, &str)]) {
        let backend: AwsBackend = self.cloud.backend().await;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes: Attributes = attributes.iter().map(own).collect();
        backend.queue.send(body, &attributes).await.unwrap();
    }
}
