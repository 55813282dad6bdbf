//! Uploads and downloads of local files.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{LIMIT, no_metadata, read, write, written};
use crate::ports::{Attributes, Condition, ETag, Fault, ObjectStore, PutOutcome};

const SIZE: usize = 3 << 20;

pub(super) async fn all(store: &dyn ObjectStore, scratch: &Path) {
    a_file_comes_back_as_it_went(store, scratch).await;
    an_upload_keeps_its_condition(store, scratch).await;
    a_failed_upload_shows_nothing(store, scratch).await;
    a_failed_download_leaves_no_file(store, scratch).await;
}

fn content() -> Vec<u8> {
    (0..SIZE)
        .map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8)
        .collect()
}

fn file_with(folder: &Path, name: &str, body: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, body).expect("the scratch folder is writable");
    path
}

async fn a_file_comes_back_as_it_went(store: &dyn ObjectStore, scratch: &Path) {
    let key = "transfer/round-trip";
    let metadata: Attributes = [("layout".to_owned(), "files".to_owned())].into();
    for (name, body) in [("large", content()), ("empty", Vec::new())] {
        let from = file_with(scratch, name, &body);
        let uploaded = store
            .upload(key, &from, Condition::Always, &metadata)
            .await
            .expect("an upload");
        let etag = written(uploaded.outcome);
        let sent = hex::encode(Sha256::digest(&body));
        assert_eq!(uploaded.sha256, Some(sent), "of what was sent");
        let to = scratch.join(format!("{name}.back"));
        let info = store
            .download(key, &to, SIZE as u64)
            .await
            .expect("a download");
        let info = info.expect("it was uploaded");
        assert_eq!(
            (info.key.as_str(), info.size, info.etag),
            (key, body.len() as u64, etag)
        );
        assert!(
            std::fs::read(&to).expect("the file is there") == body,
            "{name} came back changed"
        );
        let object = store
            .get(key, SIZE as u64)
            .await
            .expect("get")
            .expect("it was uploaded");
        assert_eq!(object.metadata, metadata);
        assert!(from.is_file(), "the original stays");
    }
}

async fn an_upload_keeps_its_condition(store: &dyn ObjectStore, scratch: &Path) {
    let key = "transfer/conditions";
    let from = file_with(scratch, "condition", b"new");
    let upload = async |condition| {
        let uploaded = store.upload(key, &from, condition, &no_metadata()).await;
        uploaded.expect("a definite answer").outcome
    };
    let foreign = || Condition::IfMatch(ETag("\"0123\"".to_owned()));
    assert_eq!(upload(foreign()).await, PutOutcome::Absent);
    let etag = written(upload(Condition::IfAbsent).await);
    assert_eq!(
        upload(Condition::IfAbsent).await,
        PutOutcome::PreconditionFailed
    );
    assert_eq!(upload(foreign()).await, PutOutcome::PreconditionFailed);
    written(upload(Condition::IfMatch(etag)).await);
}

async fn a_failed_upload_shows_nothing(store: &dyn ObjectStore, scratch: &Path) {
    let key = "transfer/no-source";
    let missing = scratch.join("no-such-file");
    let result = store
        .upload(key, &missing, Condition::Always, &no_metadata())
        .await;
    let error = result.expect_err("there is nothing to upload");
    assert!(error.is_of_machine, "the file is missing, not the store");
    assert_eq!(read(store, key).await, None);
}

async fn a_failed_download_leaves_no_file(store: &dyn ObjectStore, scratch: &Path) {
    let to = scratch.join("never");
    let absent = store
        .download("transfer/absent", &to, LIMIT)
        .await
        .expect("a definite answer");
    assert_eq!(absent, None);
    assert!(!to.exists());
    write(store, "transfer/nowhere", "text").await;
    let nowhere = scratch.join("no-such-folder").join("file");
    let error = store.download("transfer/nowhere", &nowhere, LIMIT).await;
    let error = error.expect_err("there is no place for it");
    assert!(error.is_of_machine, "the folder is missing, not the object");
    write(store, "transfer/too-large", "0123456789").await;
    let error = store
        .download("transfer/too-large", &to, 9)
        .await
        .expect_err("over the limit");
    assert_eq!(error.fault, Fault::TooLarge);
    assert!(!to.exists());
}
