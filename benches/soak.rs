//! One daemon under a mixed load on AWS (the emulator), for an hour or as long as `SOAK_MINUTES`
//! says: what it takes of the machine must not grow.
//!
//! `cargo xtask soak` runs it. The load: runs of one or two collections with new and changed
//! records, now and then a missing delta, a message that cannot be read, the same message twice, and
//! a lock of another writer. The records' ids repeat, so that the snapshots reach a size and stay
//! there. Superseded versions are deleted soon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop anywhere"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use chroma_store::{
    CloseOptions, CreateOptions, DOCUMENT_KEY, NewIds, Operation, SchemaLevel, Space, create,
};
use compactor_core::ports::ObjectStore;
use compactor_testkit::cli::Logs;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::process::terminate;
use fastrand::Rng;
use uuid::Uuid;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");

const COLLECTIONS: [&str; 2] = ["lines", "words"];
const DIMENSION: usize = 64;
/// Ids that there are, per collection.
const IDS: usize = 3000;
/// Between two announcements, on average.
const PAUSE: Duration = Duration::from_secs(2);

/// What the daemon has of the machine at one time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    tasks: u64,
    scratch_bytes: u64,
    bucket_bytes: u64,
}

fn main() {
    let minutes = std::env::var("SOAK_MINUTES").map_or(60, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(Duration::from_secs(60 * minutes)));
}

async fn run(time: Duration) {
    let deployment = Deployment::on(Cloud::new(20).await, COMPACTOR);
    deployment
        .place
        .expects(&["CC-DELTA-MISSING", "CC-MESSAGE-JSON"]);
    // Of ten seconds: a busy machine loses it now and then.
    deployment.place.expects(&["CC-LEASE-LOST"]);
    deployment.change(
        "[queue]",
        "[retention]\nversions = 2\nage = \"2m\"\nevery = \"20s\"\n\
         [metrics]\nemf = true\nevery = \"5s\"\n[queue]",
    );
    let log = deployment.place.path("log");
    let mut command = deployment.command("run");
    command.stderr(File::create(&log).unwrap());
    let mut daemon = command
        .stdout(File::create("/dev/null").unwrap())
        .spawn()
        .unwrap();
    let (began, mut rng) = (Instant::now(), Rng::with_seed(1));
    let (mut samples, mut announced) = (Vec::new(), 0);
    println!("minute  memory KiB  descriptors  threads  tasks  scratch bytes  bucket bytes  runs");
    while began.elapsed() < time {
        announced += announce(&deployment, announced, &mut rng).await;
        if let Some(status) = daemon.try_wait().unwrap() {
            let text = std::fs::read_to_string(&log).unwrap();
            panic!("{status}: {text}");
        }
        std::thread::sleep(PAUSE.mul_f64(2.0 * rng.f64()));
        // A tenth is for getting warm.
        let minute = began.elapsed().as_secs() / 60;
        if minute > samples.len() as u64 {
            let sample = sample(&deployment, daemon.id(), &log).await;
            samples.push(sample);
            println!(
                "{minute:>6}  {:>10}  {:>11}  {:>7}  {:>5}  {:>13}  {:>12}  {announced:>4}",
                sample.memory_kib,
                sample.descriptors,
                sample.threads,
                sample.tasks,
                sample.scratch_bytes,
                sample.bucket_bytes,
            );
        }
    }
    terminate(daemon);
    // What it should not have said fails the soak when the place ends.
    let said = std::fs::read_to_string(&log).unwrap();
    Logs::keep(log.parent().unwrap(), &said);
    deployment.drain();
    let parts = deployment.parts();
    let good = parts.iter().filter(|part| part.2 == "COMPLETED").count();
    let bad = parts.iter().filter(|part| part.2 == "FAILED").count();
    assert_eq!(good + bad, parts.len(), "{parts:?}");
    println!("{good} parts of runs completed, {bad} failed as they should");
    verdict(&samples);
}

/// One announcement of some kind; how many runs.
async fn announce(deployment: &Deployment, number: usize, rng: &mut Rng) -> usize {
    let run = format!("run-{number:06}");
    match rng.u32(0..20) {
        0 => {
            let prefix = format!("words/delta/{run}/");
            deployment.announce(&run, &[("words", &prefix)]).await;
            1
        }
        1 => {
            deployment.send("not a message", &[]).await;
            0
        }
        2 => {
            deployment
                .lock_words("update", Duration::from_secs(5))
                .await;
            0
        }
        kind => {
            let count = rng.usize(1..=2);
            let mut deltas = Vec::new();
            for collection in &COLLECTIONS[..count] {
                let prefix = format!("{collection}/delta/{run}/");
                let dir = deployment.place.path("delta");
                delta(&dir, collection, rng);
                deployment.upload_archive(&dir, &prefix).await;
                std::fs::remove_dir_all(&dir).unwrap();
                deltas.push((*collection, prefix));
            }
            let deltas: Vec<_> = deltas
                .iter()
                .map(|(name, at)| (*name, at.as_str()))
                .collect();
            deployment.announce(&run, &deltas).await;
            if kind == 3 {
                deployment.announce(&run, &deltas).await;
            }
            1
        }
    }
}

fn delta(dir: &Path, collection: &str, rng: &mut Rng) {
    let options = CreateOptions {
        collection: collection.to_owned(),
        space: Space::Cosine,
        level: SchemaLevel::L15,
    };
    let ids = NewIds {
        collection: Uuid::from_u128(rng.u128(..)),
        vector_segment: Uuid::from_u128(rng.u128(..)),
        metadata_segment: Uuid::from_u128(rng.u128(..)),
    };
    let mut store = create(dir, &options, ids).unwrap();
    let operations: Vec<Operation> = (0..rng.usize(1..150))
        .map(|_| {
            let vector: Vec<f32> = (0..DIMENSION).map(|_| rng.f32() - 0.5).collect();
            let text = format!("document {}", rng.u64(..));
            let patch = vec![(DOCUMENT_KEY.to_owned(), Some(text.as_str().into()))];
            Operation::upsert(format!("id-{}", rng.usize(0..IDS)), &vector, patch)
        })
        .collect();
    store.write(collection, operations).unwrap();
    store.close(&CloseOptions::default()).unwrap();
}

async fn sample(deployment: &Deployment, pid: u32, log: &Path) -> Sample {
    let proc = Path::new("/proc").join(pid.to_string());
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let objects = deployment.cloud.backend().await.objects;
    let bucket_bytes = {
        let mut bytes = 0;
        for collection in COLLECTIONS {
            let prefix = format!("{collection}/snapshot/");
            let found = objects.list_all(&prefix).await.unwrap();
            bytes += found.iter().map(|info| info.size).sum::<u64>();
        }
        bytes
    };
    Sample {
        memory_kib: field("VmRSS:"),
        descriptors: std::fs::read_dir(proc.join("fd")).unwrap().count() as u64,
        threads: field("Threads:"),
        tasks: last_tasks(log),
        scratch_bytes: bytes_in(&deployment.place.path("work")),
        bucket_bytes,
    }
}

/// The daemon's own last figure, in its metrics.
fn last_tasks(log: &Path) -> u64 {
    let text = std::fs::read_to_string(log).unwrap();
    let found = text.lines().rev().find_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        value["CompactionTasks"].as_f64()
    });
    found.expect("the metrics say so") as u64
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Gone meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// The last third against the one before it; the first is for getting warm.
fn verdict(samples: &[Sample]) {
    let third = samples.len() / 3;
    if third < 3 {
        println!("too short for a verdict");
        return;
    }
    type Column = fn(&Sample) -> u64;
    let columns: [(&str, Column); 6] = [
        ("memory KiB", |sample| sample.memory_kib),
        ("descriptors", |sample| sample.descriptors),
        ("threads", |sample| sample.threads),
        ("tasks", |sample| sample.tasks),
        ("scratch bytes", |sample| sample.scratch_bytes),
        ("bucket bytes", |sample| sample.bucket_bytes),
    ];
    for (name, column) in columns {
        let median = |samples: &[Sample]| {
            let mut values: Vec<u64> = samples.iter().map(column).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (before, after) = (
            median(&samples[third..2 * third]),
            median(&samples[2 * third..]),
        );
        println!("{name}: median {before}, then {after}");
        // What is counted one by one may be a few more by chance.
        let allowed = (before as f64 * 1.1).max(before as f64 + 5.0);
        assert!(after as f64 <= allowed, "{name} grows");
    }
}
