//! The program with settings for one test's bucket, queue and table.

pub mod legacy;
mod producer;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::{Said, Workdir};
use crate::deadline::Deadline;
use compactor_aws::AwsBackend;
use compactor_core::ports::Attributes;
use compactor_core::{CollectionName, Lineage};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::emulator::endpoint;

/// One collection of a run: run id, collection, state and error. The error is empty if there is none.
pub type Part = (String, String, String, String);

/// Resources on the emulator, and a working directory whose `aws.toml` names them.
pub struct Deployment {
    /// The resources.
    pub cloud: Cloud,
    /// The working directory.
    pub place: Workdir,
}

impl Deployment {
    /// New resources, whose queue gives up a message after three receives; commands run `program`.
    pub async fn new(program: &'static str) -> Self {
        Self::on(Cloud::new(3).await, program)
    }

    /// A deployment on these resources; commands run `program`.
    pub fn on(cloud: Cloud, program: &'static str) -> Self {
        let place = Workdir::new(program);
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

    /// Runs a command with these settings to its end.
    pub fn say(&self, line: &str) -> Said {
        Said::by(&mut self.command(line))
    }

    /// Replaces `from`, which must occur in the settings, by `to`.
    pub fn change(&self, from: &str, to: &str) {
        let settings = std::fs::read_to_string(self.place.path("aws.toml")).unwrap();
        assert!(settings.contains(from), "{from}");
        self.place.write("aws.toml", &settings.replace(from, to));
    }

    /// From now on the collection `words` has this deployment's queue, and `lines` that of `other`.
    pub fn with_own_queues(&self, other: &Cloud) {
        let words = &self.cloud.options.queue_url;
        let lines = &other.options.queue_url;
        let own = format!("queues = {{ words = \"{words}\", lines = \"{lines}\" }}");
        self.change(&format!("queue_url = \"{words}\""), &own);
    }

    /// From now on the services are at `endpoint`.
    pub fn at(&self, endpoint: &str) {
        let settings = std::fs::read_to_string(self.place.path("aws.toml")).unwrap();
        let line = settings.lines().find(|line| line.starts_with("endpoint"));
        self.change(line.unwrap(), &format!("endpoint = \"{endpoint}\""));
    }

    /// Starts a daemon that drains the queue.
    pub fn spawn_drain(&self) -> Child {
        self.spawn("run --drain")
    }

    /// Starts a command in the background. Its standard output is discarded.
    pub fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// Takes the lock `chroma-words-{id}` for `term`, as a Python writer does.
    pub async fn lock_words(&self, id: &str, term: Duration) {
        let expires = self.cloud.clock.wall().plus(term).to_iso();
        let lock = format!("LOCK#words#chroma-words-{id}");
        let item = [
            ("PK", lock.as_str()),
            ("SK", "LOCK"),
            ("owner", "python"),
            ("expires", &expires),
        ];
        self.cloud.put_item(&item).await;
    }

    /// Waits until `done` holds for the parts of all runs.
    pub fn until(&self, done: impl Fn(&[Part]) -> bool) {
        let deadline = Deadline::in_two_minutes();
        let mut parts = self.parts();
        while !done(&parts) {
            deadline.wait(&parts);
            parts = self.parts();
        }
    }

    /// Waits until at least that many messages are in flight.
    pub async fn until_in_flight(&self, messages: u64) {
        let deadline = Deadline::in_two_minutes();
        let mut depth = self.depth().await;
        while depth.in_flight < messages {
            deadline.wait(&depth);
            depth = self.depth().await;
        }
    }

    /// A command with these settings and credentials; its words are split at blanks.
    pub fn command(&self, line: &str) -> Command {
        let words = line.split_whitespace().chain(["--config", "aws.toml"]);
        let mut command = self.place.command(words);
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// The parts of all runs, sorted by run and collection.
    pub fn parts(&self) -> Vec<Part> {
        let runs = self.say("runs --limit 1000000 --json").json();
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

    /// Downloads the published snapshot of `collection` and verifies it. Gives the ids of its records,
    /// sorted.
    pub async fn published(&self, collection: &str) -> Vec<String> {
        let backend = self.cloud.backend().await;
        let lineage = Lineage::from(collection.parse::<CollectionName>().unwrap());
        let objects: std::sync::Arc<dyn compactor_core::ports::ObjectStore> = backend.objects;
        let repository = compactor_snapshots::SnapshotRepository::new(objects);
        let published = repository.resolve(&lineage).await;
        let published = published.unwrap().expect("something is published");
        let folder = tempfile::tempdir().unwrap();
        let limits = compactor_snapshots::Limits {
            archive_bytes: 1 << 30,
            unpacked: chroma_store::UnpackLimits {
                bytes: 1 << 30,
                ratio: 1000,
                entries: 100,
            },
            batch_bytes: 1 << 30,
            value_bytes: 16 << 20,
            snapshot_bytes: 1 << 30,
            transfers: 4,
        };
        repository
            .fetch(&published, folder.path(), &limits)
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

    /// Sends a message with these attributes, by name and value.
    pub async fn send(&self, body: &str, attributes: &[(&str, &str)]) {
        let backend: AwsBackend = self.cloud.backend().await;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes: Attributes = attributes.iter().map(own).collect();
        backend.queue.send(body, &attributes).await.unwrap();
    }
}
