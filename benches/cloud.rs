//! Whole cycles over the emulator of S3, SQS and DynamoDB: a snapshot of 70,000 vectors of 1536
//! dimensions, and 1, 10 and 100 waiting runs of 20 records; beside them, in the same run, a Python
//! compactor as the old system has it, with real chromadb.
//!
//! `cargo xtask bench cloud` runs it. Ours is a daemon that is running already, as in production:
//! it is stopped while the messages are sent, and the time goes from its continuation until the last
//! message is deleted. What it flushes afterwards, while nothing waits, is timed too. The Python
//! compactor takes ten runs a cycle, as its event source hands them out, and once all that wait; its
//! time goes from the receipt of the messages to their deletion, without the start of Python. Both
//! begin with the same snapshot, written as the Python system writes it. The emulator's work is in
//! all times, and on the same cores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop anywhere"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chroma_store::{
    CloseOptions, CreateOptions, DOCUMENT_KEY, FlushOptions, FlushWhen, NewIds, Operation,
    SchemaLevel, Space, create,
};
use compactor_core::ports::{Attributes, Condition, LeaseStore, ObjectStore};
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::deployment::legacy::said;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::fixture::packed;
use compactor_testkit::process::{signal, terminate};
use md5::Digest;
use uuid::Uuid;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");

const DIMENSION: usize = 1536;
const BASE: usize = 70_000;
const AT_ONCE: usize = 5_000;
const OF_A_RUN: usize = 20;
const WORDS: &str = "words";
const VERSION: &str = "20261121_000212_517191_74bfc63c";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    make(&base, 0..BASE, FlushWhen::Always);
    let bytes = size(&base);
    println!(
        "snapshot: {BASE} x {DIMENSION}, {:.0} MB",
        bytes as f64 / 1e6
    );
    let archive = folder.path().join("snapshot.tar.gz");
    std::fs::write(&archive, packed(&base)).unwrap();
    let ours = begin(&archive).await;
    let theirs = begin(&archive).await;

    let daemon = ours.spawn("run");
    let mut next = BASE;
    let first = waiting(&ours, "warm", &mut next, 1).await;
    let cold = until_done(&ours, Instant::now(), &first).await;
    println!("first cycle of the daemon, with a download: {cold:.2} s");
    println!(
        "waiting | Python: runs, s, runs/min | daemon: s, runs/min, s until flushed | ratios: cycle, runs/min"
    );
    let mut next_of_python = next;
    for (count, batch) in [(1, 1), (10, 10), (100, 10), (100, 100), (300, 10)] {
        let name = format!("n{count}-{batch}");
        // What one cycle takes is enough: the next one would be the same again.
        waiting(&theirs, &name, &mut next_of_python, batch).await;
        let queue = &theirs.cloud.options.queue_url;
        let batches = format!("--batch {batch}");
        let mut cycle = theirs.legacy_cycle(endpoint(), queue, &batches);
        let found = said(&mut cycle);
        assert_eq!(found["merged"], batch * OF_A_RUN, "{found}");
        let python = found["seconds"]["total"].as_f64().unwrap();

        signal(&daemon, "STOP");
        let runs = waiting(&ours, &name, &mut next, count).await;
        let began = Instant::now();
        signal(&daemon, "CONT");
        let native = until_done(&ours, began, &runs).await;
        let flushed = idle(&ours, began).await;
        let rates = [60.0 * batch as f64 / python, 60.0 * count as f64 / native];
        println!(
            "{count:7} | {batch:3} {python:6.1} {:6.0} | {native:6.2} {:6.0} {flushed:6.2} | {:5.1} {:5.0}",
            rates[0],
            rates[1],
            python / native,
            rates[1] / rates[0],
        );
        println!("          Python's seconds: {}", found["seconds"]);
    }
    terminate(daemon);
}

/// Bucket, queue and table of their own, with the snapshot in the form of the Python system.
async fn begin(archive: &Path) -> Deployment {
    let deployment = Deployment::on(Cloud::new(100).await, COMPACTOR);
    deployment.change("visibility = \"5s\"", "visibility = \"15m\"");
    deployment.change(
        "term = \"10s\"\nrenew_every = \"3s\"\nskew_margin = \"1s\"",
        "term = \"3m\"\nrenew_every = \"30s\"\nskew_margin = \"2s\"",
    );
    let prefix = format!("{WORDS}/snapshot/timestamped/{VERSION}/");
    let objects = deployment.cloud.backend().await.objects;
    let key = format!("{prefix}snapshot.tar.gz");
    objects
        .upload(&key, archive, Condition::Always, &Attributes::new())
        .await
        .unwrap();
    let digest = hex::encode(md5::Md5::digest(std::fs::read(archive).unwrap()));
    deployment
        .put(&format!("{prefix}.snapshot_hash"), format!("md5:{digest}"))
        .await;
    deployment
        .put(&format!("{WORDS}/snapshot/latest-pointer.txt"), VERSION)
        .await;
    deployment
}

/// Uploads and announces `count` runs, and returns their ids.
async fn waiting(
    deployment: &Deployment,
    name: &str,
    next: &mut usize,
    count: usize,
) -> Vec<String> {
    let mut runs = Vec::new();
    for number in 0..count {
        let run = format!("{name}-{number}");
        let dir = deployment.place.path(&run);
        make(&dir, *next..*next + OF_A_RUN, FlushWhen::Never);
        *next += OF_A_RUN;
        let prefix = format!("{WORDS}/delta/{run}/");
        deployment.upload_archive(&dir, &prefix).await;
        std::fs::remove_dir_all(dir).unwrap();
        runs.push((run, prefix));
    }
    for (run, prefix) in &runs {
        deployment.announce(run, &[(WORDS, prefix)]).await;
    }
    runs.into_iter().map(|(run, _)| run).collect()
}

/// Seconds until all runs are COMPLETED and no message is left.
async fn until_done(deployment: &Deployment, began: Instant, runs: &[String]) -> f64 {
    let backend = deployment.cloud.backend().await;
    loop {
        let depth = deployment.depth().await;
        if depth.visible + depth.in_flight == 0 {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "{:?}",
            deployment.parts()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    for run in runs {
        use compactor_core::ports::RunStore;
        let key = compactor_core::RunKey::plain(run.parse().unwrap());
        let record = backend.runs.get(&key).await.unwrap().unwrap();
        let part = record.parts.values().next().unwrap();
        assert_eq!(part.state, compactor_core::RunState::Completed);
    }
    seconds
}

/// Seconds until no cycle is under way any more.
async fn idle(deployment: &Deployment, began: Instant) -> f64 {
    let leases = deployment.cloud.backend().await.leases;
    let words = WORDS.parse().unwrap();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_secs(1) {
        if leases.holder(&words).await.unwrap().is_some() {
            last = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    last.duration_since(began).as_secs_f64()
}

fn make(dir: &Path, range: Range<usize>, when: FlushWhen) -> PathBuf {
    let options = CreateOptions {
        collection: WORDS.to_owned(),
        space: Space::Cosine,
        level: SchemaLevel::L15,
    };
    let ids = NewIds {
        collection: Uuid::from_u128(1),
        vector_segment: Uuid::from_u128(2),
        metadata_segment: Uuid::from_u128(3),
    };
    let mut store = create(dir, &options, ids).unwrap();
    let options = FlushOptions {
        when,
        ..FlushOptions::default()
    };
    // As it grows in production; at once, SQLite would keep the space that the log took.
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + AT_ONCE);
        store.write(WORDS, records(start..end)).unwrap();
        store.flush(WORDS, options).unwrap();
        start = end;
    }
    store.close(&CloseOptions::default()).unwrap();
    dir.to_owned()
}

/// Seeded vectors around 64 centres, with what a word of a receipt has beside them.
fn records(range: Range<usize>) -> impl Iterator<Item = Operation> {
    range.map(|at| {
        let centre = u64::try_from(at % 64).unwrap();
        let mut centre = fastrand::Rng::with_seed(centre);
        let mut noise = fastrand::Rng::with_seed(u64::try_from(at).unwrap() + 1000);
        let vector: Vec<f32> = (0..DIMENSION)
            .map(|_| centre.f32() - 0.5 + 0.7 * (noise.f32() - 0.5))
            .collect();
        let patch = vec![
            (
                DOCUMENT_KEY.to_owned(),
                Some(format!("word {at}").as_str().into()),
            ),
            (
                "image_id".to_owned(),
                Some(format!("7e2bd911-{}", at / 100).as_str().into()),
            ),
            ("receipt_id".to_owned(), Some(1_i64.into())),
            (
                "word_id".to_owned(),
                Some(i64::try_from(at % 100).unwrap().into()),
            ),
            ("x".to_owned(), Some(0.25_f64.into())),
            ("merchant_name".to_owned(), Some("A Shop".into())),
        ];
        Operation::upsert(format!("IMAGE#{}#WORD#{at:05}", at / 100), &vector, patch)
    })
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => size(&path),
            false => path.metadata().unwrap().len(),
        })
        .sum()
}
