//! A deployment of the binary: settings for one test's bucket, queue and table.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use compactor_aws::AwsBackend;
use compactor_core::CollectionName;
use compactor_core::ports::Attributes;
use compactor_testkit::cli::{Said, Workdir};
use compactor_testkit::deadline::Deadline;
use compactor_testkit::process::ended;
use serde_json::Value;

use crate::COMPACTOR;
use crate::cloud::Cloud;
use crate::emulator::endpoint;

/// Run, collection, state and error.
pub(crate) type Part = (String, String, String, String);

/// One test's cloud, and a place to call the binary in.
pub(crate) struct Deployment {
    pub(crate) cloud: Cloud,
    pub(crate) place: Workdir,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self::on(Cloud::new(3).await)
    }

    pub(crate) fn on(cloud: Cloud) -> Self {
        let place = Workdir::new(COMPACTOR);
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

    /// Replaces a part of the settings.
    pub(crate) fn change(&self, from: &str, to: &str) {
        let settings = std::fs::read_to_string(self.place.path("aws.toml")).unwrap();
        assert!(settings.contains(from), "{from}");
        self.place.write("aws.toml", &settings.replace(from, to));
    }

    /// From now on words and lines have queues of their own, the second one `other`'s.
    pub(crate) fn with_own_queues(&self, other: &Cloud) {
        let words = &self.cloud.options.queue_url;
        let lines = &other.options.queue_url;
        let own = format!("queues = {{ words = \"{words}\", lines = \"{lines}\" }}");
        self.change(&format!("queue_url = \"{words}\""), &own);
    }

    /// From now on the services are at `endpoint`.
    pub(crate) fn at(&self, endpoint: &str) {
        let settings = std::fs::read_to_string(self.place.path("aws.toml")).unwrap();
        let line = settings.lines().find(|line| line.starts_with("endpoint"));
        self.change(line.unwrap(), &format!("endpoint = \"{endpoint}\""));
    }

    /// A daemon beside others, which drains the queue.
    pub(crate) fn spawn_drain(&self) -> Child {
        self.spawn("run --drain")
    }

    /// A command in the background.
    pub(crate) fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// A Python writer takes one of the locks of the words, for so long.
    pub(crate) async fn lock_words(&self, id: &str, term: Duration) {
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

    /// Waits until the runs are as they should be.
    pub(crate) fn until(&self, done: impl Fn(&[Part]) -> bool) {
        let deadline = Deadline::in_two_minutes();
        let mut parts = self.parts();
        while !done(&parts) {
            deadline.wait(&parts);
            parts = self.parts();
        }
    }

    /// Waits until so many messages are in other hands.
    pub(crate) async fn until_in_flight(&self, messages: u64) {
        let deadline = Deadline::in_two_minutes();
        let mut depth = self.depth().await;
        while depth.in_flight < messages {
            deadline.wait(&depth);
            depth = self.depth().await;
        }
    }

    pub(crate) fn command(&self, line: &str) -> std::process::Command {
        let words = line.split_whitespace().chain(["--config", "aws.toml"]);
        let mut command = self.place.command(words);
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// State and error of every part of every run, by run and collection.
    pub(crate) fn parts(&self) -> Vec<Part> {
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

    /// Every record id of the published snapshot of `collection`, read as a reader would.
    pub(crate) async fn published(&self, collection: &str) -> Vec<String> {
        let backend = self.cloud.backend().await;
        let collection: CollectionName = collection.parse().unwrap();
        let objects: std::sync::Arc<dyn compactor_core::ports::ObjectStore> = backend.objects;
        let repository = compactor_snapshots::SnapshotRepository::new(objects);
        let published = repository.resolve(&collection).await;
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

    pub(crate) async fn send(&self, body: &str, attributes: &[(&str, &str)]) {
        let backend: AwsBackend = self.cloud.backend().await;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes: Attributes = attributes.iter().map(own).collect();
        backend.queue.send(body, &attributes).await.unwrap();
    }
}

/// Sends a signal, by its name without `SIG`.
pub(crate) fn signal(process: &Child, name: &str) {
    kill_pid(process.id(), name);
}

pub(crate) fn kill_pid(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    // Who is gone already needs none.
    kill.stderr(Stdio::null()).status().unwrap();
}

/// Ends a process without any notice.
pub(crate) fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Ends a daemon in order.
pub(crate) fn terminate(daemon: Child) {
    signal(&daemon, "TERM");
    assert!(ended(daemon).status.success());
}
