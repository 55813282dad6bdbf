//! 23 to 33: deltas and how they are merged.

use compactor_testkit::deployment::Deployment;
use compactor_testkit::fixture::{directory, ids, packed};

use crate::COMPACTOR;

const PREFIX: &str = "words/delta/r/";

/// One run of five records, whose delta is uploaded already, is merged.
async fn assert_run_is_merged(deployment: &Deployment, announced: &str) {
    deployment.announce("r", &[("words", announced)]).await;
    let summary = deployment.drain();
    assert_eq!(summary["completed"], 1, "{:?}", deployment.parts());
    assert_eq!(deployment.published("words").await, ids(&[("d", 5)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_delta_in_an_archive_is_merged() {
    let deployment = Deployment::new(COMPACTOR).await;
    let dir = directory(&deployment.place, "d", "words", 5, 2);
    deployment.upload_archive(&dir, PREFIX).await;
    assert_run_is_merged(&deployment, PREFIX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_delta_of_loose_files_is_merged() {
    let deployment = Deployment::new(COMPACTOR).await;
    let dir = directory(&deployment.place, "d", "words", 5, 2);
    deployment.upload_files(&dir, PREFIX).await;
    assert_run_is_merged(&deployment, PREFIX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_delta_prefix_given_as_an_s3_url_is_merged() {
    let deployment = Deployment::new(COMPACTOR).await;
    let dir = directory(&deployment.place, "d", "words", 5, 2);
    deployment.upload_archive(&dir, PREFIX).await;
    let address = format!("s3://{}/{PREFIX}", deployment.cloud.options.bucket);
    assert_run_is_merged(&deployment, &address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b26_deltas_of_one_version_record_one_result_each() {
    let deployment = Deployment::new(COMPACTOR).await;
    for (name, records) in [("a", 3), ("b", 4), ("c", 5)] {
        directory(&deployment.place, name, "words", records, 2);
        deployment
            .say(&format!("submit words={name} --run-id {name}"))
            .succeeds();
    }
    let summary = deployment.drain();
    assert_eq!(
        (&summary["completed"], &summary["published"]),
        (&3.into(), &1.into())
    );
    let version = deployment.pointer("words").await.unwrap();
    let manifest = deployment.manifest("words", &version).await;
    let mut merged: Vec<(&str, u64)> = manifest["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            (
                run["run_id"].as_str().unwrap(),
                run["merged"].as_u64().unwrap(),
            )
        })
        .collect();
    merged.sort_unstable();
    assert_eq!(merged, [("a", 3), ("b", 4), ("c", 5)]);
}

/// The run `bad` fails with `code`, and the run `good` beside it is merged and published.
async fn assert_bad_run_fails_alone(deployment: &Deployment, code: &'static str) {
    deployment.place.expects(&[code]);
    directory(&deployment.place, "good", "words", 5, 2);
    deployment.say("submit words=good --run-id good").succeeds();
    deployment
        .announce("bad", &[("words", "words/delta/bad/")])
        .await;
    deployment.drain();
    assert_eq!(deployment.part("good", "words").0, "COMPLETED");
    let (state, error) = deployment.part("bad", "words");
    assert_eq!(state, "FAILED");
    assert!(error.contains(code), "{error}");
    assert_eq!(deployment.published("words").await, ids(&[("good", 5)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b27_missing_delta_fails_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    assert_bad_run_fails_alone(&deployment, "CC-DELTA-MISSING").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b28_corrupt_foreign_and_escaping_deltas_fail_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    let key = "words/delta/bad/delta.tar.gz";
    let sound = packed(&directory(&deployment.place, "d", "words", 5, 2));
    deployment.put(key, &sound[..sound.len() / 2]).await;
    assert_bad_run_fails_alone(&deployment, "CS-ARCHIVE").await;

    let deployment = Deployment::new(COMPACTOR).await;
    let lines = packed(&directory(&deployment.place, "d", "lines", 5, 2));
    deployment.put(key, lines).await;
    assert_bad_run_fails_alone(&deployment, "CS-COLLECTION-MISSING").await;

    let deployment = Deployment::new(COMPACTOR).await;
    deployment.put(key, leading_out()).await;
    assert_bad_run_fails_alone(&deployment, "CS-ARCHIVE").await;
}

/// An archive with a member `../outside`.
fn leading_out() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let name = b"../outside";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    archive.append(&header, &b"x"[..]).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b29_empty_delta_completes_with_zero_vectors() {
    let deployment = Deployment::new(COMPACTOR).await;
    directory(&deployment.place, "base", "words", 5, 2);
    directory(&deployment.place, "none", "words", 0, 2);
    for name in ["base", "none"] {
        deployment
            .say(&format!("submit words={name} --run-id {name}"))
            .succeeds();
        assert_eq!(deployment.drain()["completed"], 1);
    }
    let item = deployment
        .cloud
        .item("IMAGE#none", "RECEIPT#00001#COMPACTION_RUN#none")
        .await;
    assert_eq!(item.unwrap()["words_merged_vectors"].as_n().unwrap(), "0");
    assert_eq!(deployment.published("words").await, ids(&[("base", 5)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b30_delta_merged_twice_changes_nothing_the_second_time() {
    let deployment = Deployment::new(COMPACTOR).await;
    let dir = directory(&deployment.place, "d", "words", 5, 2);
    deployment.upload_archive(&dir, PREFIX).await;
    deployment.announce("one", &[("words", PREFIX)]).await;
    deployment.drain();
    let before = deployment.read_by_python("words");
    deployment.announce("two", &[("words", PREFIX)]).await;
    assert_eq!(deployment.drain()["completed"], 1);
    assert_eq!(deployment.read_by_python("words"), before);
    assert_eq!(before.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b31_delta_prefix_does_not_match_a_longer_sibling() {
    let deployment = Deployment::new(COMPACTOR).await;
    let dir = directory(&deployment.place, "d", "words", 5, 2);
    deployment.upload_files(&dir, "words/delta/abc/").await;
    let other = directory(&deployment.place, "other", "words", 7, 2);
    deployment.upload_files(&other, "words/delta/abcd/").await;
    // Some writers announce it so, without the final slash.
    assert_run_is_merged(&deployment, "words/delta/abc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b32_large_deltas_are_merged_whole() {
    let deployment = Deployment::new(COMPACTOR).await;
    let sizes = [("a", 251), ("b", 1001), ("c", 6000)];
    for (name, records) in sizes {
        directory(&deployment.place, name, "words", records, 2);
        deployment.say(&format!("submit words={name}")).succeeds();
    }
    assert_eq!(deployment.drain()["completed"], 3);
    assert_eq!(deployment.published("words").await, ids(&sizes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_delta_of_another_dimension_fails_alone() {
    let deployment = Deployment::new(COMPACTOR).await;
    deployment.place.expects(&["CS-DIMENSION"]);
    directory(&deployment.place, "base", "words", 5, 2);
    directory(&deployment.place, "more", "words", 5, 2);
    let wide = directory(&deployment.place, "wide", "words", 5, 3);
    deployment.say("submit words=base").succeeds();
    deployment.drain();
    // `submit` would refuse it.
    let prefix = "words/delta/wide/";
    let archive = format!("{prefix}delta.tar.gz");
    deployment.put(&archive, packed(&wide)).await;
    deployment.announce("wide", &[("words", prefix)]).await;
    deployment.say("submit words=more --run-id more").succeeds();
    deployment.drain();
    assert!(deployment.part("wide", "words").1.contains("CS-DIMENSION"));
    assert_eq!(deployment.part("more", "words").0, "COMPLETED");
    let both = ids(&[("base", 5), ("more", 5)]);
    assert_eq!(deployment.published("words").await, both);
}
