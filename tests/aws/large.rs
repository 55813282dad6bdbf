//! Files of several parts: uploaded, downloaded and copied in parts, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use compactor_core::ports::{Attributes, Condition, ETag, ObjectStore, PutOutcome};
use compactor_core::retention::RetentionPolicy;
use compactor_snapshots::{Origins, SnapshotRepository, Sweep, SweepMode};
use compactor_testkit::cloud::{Cloud, config};
use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::directory;

use crate::COMPACTOR;
use crate::proxy::{Proxy, Verdict};

/// Three parts, the last of them short.
const SIZE: usize = (16 << 20) + 12_345;

fn large(folder: &Path) -> PathBuf {
    let path = folder.join("large");
    let mut random = fastrand::Rng::with_seed(7);
    let body: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(SIZE)
        .collect();
    std::fs::write(&path, body).unwrap();
    path
}

fn metadata() -> Attributes {
    [("nonce".to_owned(), "n".to_owned())].into()
}

/// Uploads that were begun and not ended.
async fn unfinished(cloud: &Cloud) -> usize {
    let listed = s3(cloud)
        .list_multipart_uploads()
        .bucket(&cloud.options.bucket);
    listed.send().await.unwrap().uploads().len()
}

fn s3(cloud: &Cloud) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&cloud.config)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multipart_files_are_uploaded_copied_and_downloaded_unchanged() {
    let cloud = Cloud::new(3).await;
    let objects = cloud.backend().await.objects;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (large(folder.path()), folder.path().join("back"));
    let upload = async |condition| {
        let metadata = metadata();
        let uploaded = objects.upload("a/large", &from, condition, &metadata);
        uploaded.await.unwrap().outcome
    };
    let PutOutcome::Written(etag) = upload(Condition::IfAbsent).await else {
        panic!("it was not there");
    };
    let info = objects
        .download("a/large", &to, SIZE as u64)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((info.size, &info.etag), (SIZE as u64, &etag));
    assert!(std::fs::read(&to).unwrap() == std::fs::read(&from).unwrap());

    // A late upload leaves neither an object nor parts.
    assert_eq!(
        upload(Condition::IfAbsent).await,
        PutOutcome::PreconditionFailed
    );
    let stale = Condition::IfMatch(ETag("\"0123456789abcdef0123456789abcdef\"".to_owned()));
    assert_eq!(upload(stale).await, PutOutcome::PreconditionFailed);
    assert_eq!(unfinished(&cloud).await, 0);

    let copy = async |condition| {
        objects
            .copy("a/large", &etag, "b/large", condition)
            .await
            .unwrap()
    };
    assert!(matches!(
        copy(Condition::IfAbsent).await,
        PutOutcome::Written(_)
    ));
    assert_eq!(
        copy(Condition::IfAbsent).await,
        PutOutcome::PreconditionFailed
    );
    let copied = objects.get("b/large", SIZE as u64).await.unwrap().unwrap();
    assert!(copied.body == std::fs::read(&from).unwrap());
    assert_eq!(copied.metadata, metadata());
    assert_eq!(unfinished(&cloud).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_download_leaves_no_file() {
    let cloud = Cloud::new(3).await;
    let objects = cloud.backend().await.objects;
    let folder = tempfile::tempdir().unwrap();
    let from = large(folder.path());
    objects
        .upload("a/large", &from, Condition::Always, &metadata())
        .await
        .unwrap();
    let to = folder.path().join("back");
    let error = objects.download("a/large", &to, SIZE as u64 - 1).await;
    assert_eq!(error.unwrap_err().code(), "CC-PORT-TOO-LARGE");
    assert!(!to.exists());
    // A file that was there before is neither overwritten nor removed.
    std::fs::write(&to, "mine").unwrap();
    let error = objects.download("a/large", &to, SIZE as u64).await;
    assert_eq!(error.unwrap_err().code(), "CC-PORT-INVALID");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
}

/// A killed process leaves parts that no process will complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_aborts_unfinished_uploads_after_a_day() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "a", "words", 5, 2);
    deployment.say("submit words=a").succeeds();
    assert_eq!(deployment.drain()["published"], 1);
    let cloud = &deployment.cloud;
    let begin = async |key: &str| {
        let request = s3(cloud).create_multipart_upload();
        let begun = request.bucket(&cloud.options.bucket).key(key).send().await;
        begun.unwrap();
    };
    begin("words/snapshot/timestamped/20261121_000212_517191_74bfc63c/chroma.sqlite3").await;
    begin("elsewhere/chroma.sqlite3").await;
    let backend = cloud.backend().await;
    let words = "words".parse().unwrap();
    let repository = SnapshotRepository::new(backend.objects);
    let sweep = async |now, mode| {
        let sweep = Sweep {
            policy: RetentionPolicy {
                versions: 4,
                age: Duration::ZERO,
            },
            mode,
            now,
        };
        let mut origins = Origins::default();
        let swept = repository.sweep(&words, sweep, &mut origins).await;
        swept.unwrap().unwrap()
    };
    let now = cloud.clock.wall();
    let swept = sweep(now, SweepMode::Delete).await;
    assert_eq!(swept.uploads, 0, "another process may still upload");
    let later = now.plus(Duration::from_secs(25 * 60 * 60));
    for mode in [SweepMode::DryRun, SweepMode::Delete] {
        assert_eq!(unfinished(cloud).await, 2);
        assert_eq!(sweep(later, mode).await.uploads, 1);
    }
    assert_eq!(
        unfinished(cloud).await,
        1,
        "the upload outside the collection's versions stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_upload_leaves_no_parts() {
    let (reached, at_part) = std::sync::mpsc::channel();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let (reached, goes) = (Mutex::new(Some(reached)), Mutex::new(goes));
    let proxy = Proxy::new(move |head| {
        if head.line.contains("partNumber=1&")
            && let Some(reached) = reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            // Until the test is over.
            let _ = goes.lock().unwrap().recv();
        }
        Verdict::Pass
    });
    let mut cloud = Cloud::new(3).await;
    let direct = cloud.config.clone();
    cloud.config = config(&proxy.endpoint);
    let objects = cloud.backend().await.objects;
    let folder = tempfile::tempdir().unwrap();
    let from = large(folder.path());
    let uploading = tokio::spawn({
        let objects = objects.clone();
        async move {
            let metadata = metadata();
            let upload = objects.upload("a/large", &from, Condition::IfAbsent, &metadata);
            upload.await
        }
    });
    tokio::task::spawn_blocking(move || at_part.recv_timeout(std::time::Duration::from_secs(30)))
        .await
        .unwrap()
        .unwrap();
    cloud.config = direct;
    uploading.abort();
    assert!(uploading.await.unwrap_err().is_cancelled());
    assert_eq!(unfinished(&cloud).await, 1);
    objects.remove_abandoned().await.unwrap();
    assert_eq!(unfinished(&cloud).await, 0);
    drop(go);
}
