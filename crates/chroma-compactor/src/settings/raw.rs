//! The configuration as a user writes it. `config/default.toml` explains every key; a test compares its
//! values with the defaults here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chroma_store::{EmbeddingFunction, FlushWhen, MetadataMode, VerifyLevel};
use compactor_core::manifest::Layout;
use compactor_daemon::Unhandled;
use serde::{Deserialize, Serialize, Serializer};

use super::choice;
use super::size::Size;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty = $default:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// All settings, by section.
    RawSettings {
        storage: Storage = Storage::default(),
        collections: Collections = Collections::default(),
        deltas: Deltas = Deltas::default(),
        aws: Aws = Aws::default(),
        queue: Queue = Queue::default(),
        worker: Worker = Worker::default(),
        retry: Retry = Retry::default(),
        lease: Lease = Lease::default(),
        merge: Merge = Merge::default(),
        flush: Flush = Flush::default(),
        snapshot: Snapshot = Snapshot::default(),
        retention: Retention = Retention::default(),
        limits: Limits = Limits::default(),
        log: Log = Log::default(),
        metrics: Metrics = Metrics::default(),
    }
}

section! {
    /// Which backend holds snapshots, deltas, the queue and run records.
    Storage {
        #[serde(deserialize_with = "choice::of")]
        backend: Backend = Backend::Local,
        #[serde(serialize_with = "shown")]
        path: PathBuf = PathBuf::from("data/local"),
        #[serde(deserialize_with = "choice::if_given", skip_serializing_if = "Option::is_none")]
        access: Option<Access> = None,
    }
}

section! {
    /// Which collections are merged, and which embedding functions a first delta may name.
    Collections {
        allow: Vec<String> = Vec::new(),
        embedding_functions: Vec<EmbeddingFunction> = Vec::new(),
    }
}

section! {
    /// Below which prefixes a delta may be.
    Deltas {
        prefixes: Vec<String> = vec!["{c}/delta/".to_owned()],
    }
}

section! {
    /// The names of a deployment's resources on AWS. Credentials come from the SDK's own chain.
    Aws {
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<String> = None,
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<String> = None,
        bucket: String = String::new(),
        delta_buckets: Vec<String> = Vec::new(),
        bucket_owners: BTreeMap<String, String> = BTreeMap::new(),
        queue_url: String = String::new(),
        queues: BTreeMap<String, String> = BTreeMap::new(),
        table: String = String::new(),
        lock_ids: Vec<String> = ["chroma-{c}-compaction", "chroma-{c}-update"].map(str::to_owned).into(),
        #[serde(with = "humantime_serde")]
        stall: Duration = Duration::from_secs(20),
    }
}

section! {
    /// How messages are received and held.
    Queue {
        #[serde(with = "humantime_serde")]
        visibility: Duration = Duration::from_secs(30),
        max_receives: u32 = 5,
        #[serde(with = "humantime_serde")]
        poll_wait: Duration = Duration::from_secs(1),
        in_flight: usize = 1000,
        #[serde(deserialize_with = "choice::of")]
        unhandled: Unhandled = Unhandled::default(),
        stream_records: bool = true,
        stream_collections: usize = 64,
    }
}

section! {
    /// How much one daemon does at a time.
    Worker {
        workers: usize = 2,
        batch_runs: usize = 500,
        #[serde(skip_serializing_if = "Option::is_none")]
        scratch: Option<PathBuf> = None,
        #[serde(with = "humantime_serde")]
        shutdown: Duration = Duration::from_secs(25),
    }
}

section! {
    /// How often a call to a service is attempted, and the waits between.
    Retry {
        #[serde(with = "humantime_serde")]
        first: Duration = Duration::from_secs(1),
        #[serde(with = "humantime_serde")]
        max: Duration = Duration::from_secs(60),
        attempts: u32 = 5,
    }
}

section! {
    /// The lease of a collection's lock.
    Lease {
        #[serde(with = "humantime_serde")]
        term: Duration = Duration::from_secs(30),
        #[serde(with = "humantime_serde")]
        renew_every: Duration = Duration::from_secs(8),
        #[serde(with = "humantime_serde")]
        skew_margin: Duration = Duration::from_secs(2),
        #[serde(with = "humantime_serde")]
        swap_budget: Duration = Duration::from_secs(5),
    }
}

section! {
    /// How records are merged.
    Merge {
        #[serde(deserialize_with = "choice::of")]
        metadata: MetadataMode = MetadataMode::Merge,
    }
}

section! {
    /// When and how vectors move from Chroma's log into the index files.
    Flush {
        #[serde(deserialize_with = "choice::of")]
        when: FlushWhen = FlushWhen::Due,
        threads: usize = 0,
        backlog: u64 = 5_000,
        rebuild_above_deleted_percent: u8 = 20,
        vacuum_above_free_percent: u8 = 100,
    }
}

section! {
    /// How snapshots are made, verified and laid out.
    Snapshot {
        first: String = "like-delta".to_owned(),
        #[serde(deserialize_with = "choice::of")]
        layout: Layout = Layout::Files,
        #[serde(deserialize_with = "choice::of")]
        verify: Verify = Verify::Full,
        #[serde(with = "humantime_serde")]
        close_wait: Duration = Duration::from_secs(2),
        rebases: u32 = 3,
        max_shrink: u8 = 50,
    }
}

section! {
    /// How long superseded versions are kept.
    Retention {
        versions: usize = 4,
        #[serde(with = "humantime_serde")]
        age: Duration = Duration::from_secs(12 * 60 * 60),
        #[serde(with = "humantime_serde")]
        every: Duration = Duration::from_secs(60 * 60),
    }
}

section! {
    /// Upper bounds for input, and for what one cycle takes.
    Limits {
        archive: Size = Size::mib(512),
        delta: Size = Size::mib(4096),
        batch: Size = Size::mib(8192),
        value: Size = Size::mib(16),
        ratio: u64 = 1000,
        entries: u64 = 10_000,
        snapshot: Size = Size::mib(65_536),
        transfers: usize = 8,
    }
}

section! {
    /// What is logged, and in which format.
    Log {
        #[serde(deserialize_with = "choice::of")]
        format: LogFormat = LogFormat::Text,
        filter: String = "info".to_owned(),
        buffer: usize = 10_000,
    }
}

section! {
    /// Metrics in CloudWatch's embedded metric format.
    Metrics {
        emf: bool = false,
        namespace: String = "EmbeddingWorkflow".to_owned(),
        #[serde(with = "humantime_serde")]
        every: Duration = Duration::from_secs(30),
    }
}

/// Writes the path as text. It may be no UTF-8, since `--data` takes any path.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Which backend is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    /// Files and a SQLite database below `storage.path`.
    Local,
    /// S3, SQS and DynamoDB; `storage.path` is only working space.
    Aws,
}

/// Which accounts of this machine may read the objects of the local backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    /// The daemon's own account.
    Owner,
    /// The daemon's own account and its group.
    Group,
    /// Every account of this machine.
    All,
}

impl From<Access> for compactor_local::Access {
    fn from(access: Access) -> Self {
        match access {
            Access::Owner => Self::Owner,
            Access::Group => Self::Group,
            Access::All => Self::All,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How thoroughly a snapshot is verified before it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verify {
    /// Checks structure and sizes.
    Quick,
    /// Reads every row and every byte.
    Full,
}

impl From<Verify> for VerifyLevel {
    fn from(verify: Verify) -> Self {
        match verify {
            Verify::Quick => Self::Quick,
            Verify::Full => Self::Full,
        }
    }
}
