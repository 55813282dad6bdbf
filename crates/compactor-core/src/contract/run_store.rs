//! The contract of run stores: exactly the transitions of [`RunRecord`], each on its own part.

use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{collection, eventually};
use crate::ports::{Clock, Completion, Created, Failure, RunStore, WallTime};
use crate::{Fence, RunKey, RunRecord, RunState};

/// Checks an empty run store. `clock` is only used to wait for listings that lag behind.
pub async fn run_store(store: Arc<dyn RunStore>, clock: Arc<dyn Clock>) {
    a_record_comes_back_as_it_went(&*store).await;
    records_change_as_the_domain_says(&*store).await;
    completed_is_final(&*store).await;
    an_overwritten_completion_is_taken_back(&*store).await;
    a_missing_record_is_made(&*store).await;
    a_deleted_record_stays_deleted(&*store).await;
    collections_do_not_touch_each_other(&store).await;
    the_newest_come_first(&*store, &*clock).await;
}

/// The time `micros` after 2026-11-21T00:00Z.
fn at(micros: i64) -> WallTime {
    WallTime(1_795_219_200_000_000 + micros)
}

// UUIDs, because the Python writers insist on them.
fn key(n: u128) -> RunKey {
    RunKey {
        run_id: Uuid::from_u128(n)
            .to_string()
            .parse()
            .expect("a UUID is a run id"),
        image_id: Uuid::from_u128(n + 1_000).to_string(),
        receipt_id: 1,
    }
}

fn record(n: u128) -> RunRecord {
    let deltas = ["lines", "words"].map(|name| {
        (
            collection(name),
            format!("{name}/delta/{}/", Uuid::from_u128(n)),
        )
    });
    RunRecord::new(key(n), deltas, at(0))
}

fn failure(error: &str, micros: i64, for_good: bool) -> Failure {
    Failure {
        error: error.to_owned(),
        at: at(micros),
        for_good,
    }
}

fn completion(micros: i64) -> Completion {
    Completion {
        merged_vectors: 42,
        ignored_operations: 5,
        version: "20261121_000212_517191_74bfc63c"
            .parse()
            .expect("a version"),
        fence: Fence(7),
        at: at(micros),
    }
}

async fn expect(store: &dyn RunStore, expected: &RunRecord) {
    let found = store.get(&expected.key).await.expect("get");
    assert_eq!(found.as_ref(), Some(expected));
}

async fn a_record_comes_back_as_it_went(store: &dyn RunStore) {
    assert_eq!(store.get(&key(1)).await.expect("get"), None);
    let record = record(1);
    assert_eq!(store.create(&record).await.expect("create"), Created::New);
    expect(store, &record).await;
    let mut other = record.clone();
    other.start(&collection("lines"), "elsewhere/x/y/", at(5));
    assert_eq!(
        store.create(&other).await.expect("create"),
        Created::Existed
    );
    expect(store, &record).await;
    let mut sibling = key(1);
    sibling.receipt_id = 2;
    assert_eq!(
        store.get(&sibling).await.expect("get"),
        None,
        "the whole key counts"
    );
}

async fn records_change_as_the_domain_says(store: &dyn RunStore) {
    let (lines, words) = (collection("lines"), collection("words"));
    let mut model = record(2);
    store.create(&model).await.expect("create");

    model.start(&lines, "lines/delta/two/", at(1));
    store
        .start(&model.key, &lines, "lines/delta/two/", at(1))
        .await
        .expect("start");
    expect(store, &model).await;

    let later = failure("CC-PORT-BUSY: later", 1, false);
    model.fail(&lines, &later);
    let failed = store.fail(&model.key, &lines, &later).await;
    failed.expect("fail");
    expect(store, &model).await;
    assert_eq!(model.parts[&lines].state, RunState::Pending);

    let broken = failure("CC-STORE-SCHEMA: größe \"quoted\"", 2, true);
    model.fail(&lines, &broken);
    let failed = store.fail(&model.key, &lines, &broken).await;
    failed.expect("fail");
    expect(store, &model).await;
    assert_eq!(model.parts[&lines].state, RunState::Failed);

    model.start(&lines, "lines/delta/two/", at(3));
    store
        .start(&model.key, &lines, "lines/delta/two/", at(3))
        .await
        .expect("start");
    expect(store, &model).await;

    model.complete(&lines, &completion(4));
    store
        .complete(&model.key, &lines, &completion(4))
        .await
        .expect("complete");
    expect(store, &model).await;
    assert_eq!(model.parts[&lines].state, RunState::Completed);
    assert_eq!(model.parts[&words].state, RunState::Pending);
}

async fn completed_is_final(store: &dyn RunStore) {
    let lines = collection("lines");
    let mut model = record(3);
    store.create(&model).await.expect("create");
    model.complete(&lines, &completion(1));
    store
        .complete(&model.key, &lines, &completion(1))
        .await
        .expect("complete");
    store
        .start(&model.key, &lines, "elsewhere/x/y/", at(2))
        .await
        .expect("start");
    for for_good in [true, false] {
        let late = failure("late", 3, for_good);
        let failed = store.fail(&model.key, &lines, &late).await;
        failed.expect("fail");
    }
    let again = Completion {
        merged_vectors: 0,
        ignored_operations: 0,
        ..completion(4)
    };
    store
        .complete(&model.key, &lines, &again)
        .await
        .expect("complete");
    expect(store, &model).await;
}

async fn an_overwritten_completion_is_taken_back(store: &dyn RunStore) {
    let (mut record, lines) = (record(9), collection("lines"));
    let version = completion(0).version;
    let retract = |at| store.retract(&record.key, &lines, &version, "CC-X: overwritten", at);
    assert!(!retract(at(1)).await.expect("retract"), "there is none");
    store.create(&record).await.expect("create");
    assert!(!retract(at(2)).await.expect("retract"), "it is PENDING");
    store
        .complete(&record.key, &lines, &completion(3))
        .await
        .expect("complete");
    let other = "20261121_000212_517191_00000000".parse().expect("version");
    let refused = store.retract(&record.key, &lines, &other, "CC-X", at(4));
    assert!(!refused.await.expect("retract"), "of another version");
    assert!(retract(at(5)).await.expect("retract"));
    assert!(!retract(at(6)).await.expect("retract"), "it was taken back");
    record.complete(&lines, &completion(3));
    record.retract(&lines, &version, "CC-X: overwritten", at(5));
    expect(store, &record).await;
}

/// The key of a run that belongs to no image.
fn plain(n: u128) -> RunKey {
    RunKey::plain(key(n).run_id)
}

async fn a_deleted_record_stays_deleted(store: &dyn RunStore) {
    let (lines, key) = (collection("lines"), key(7));
    let started = store.start(&key, &lines, "lines/delta/seven/", at(1));
    started.await.expect("start");
    let completion = completion(2);
    let completed = store.complete(&key, &lines, &completion);
    completed.await.expect("complete");
    for for_good in [true, false] {
        let broken = failure("CC-X: broken", 3, for_good);
        let failed = store.fail(&key, &lines, &broken).await;
        failed.expect("fail");
    }
    assert_eq!(store.get(&key).await.expect("get"), None);
}

async fn a_missing_record_is_made(store: &dyn RunStore) {
    let lines = collection("lines");
    let started = &plain(4);
    store
        .start(started, &lines, "lines/delta/four/", at(1))
        .await
        .expect("start");
    let mut model = RunRecord::new(started.clone(), [], at(1));
    model.start(&lines, "lines/delta/four/", at(1));
    expect(store, &model).await;

    for (n, fails) in [(5, true), (6, false)] {
        let key = plain(n);
        if fails {
            store
                .fail(&key, &lines, &failure("CC-X: broken", 1, true))
                .await
                .expect("fail");
        } else {
            store
                .complete(&key, &lines, &completion(1))
                .await
                .expect("complete");
        }
        let record = store.get(&key).await.expect("get").expect("it was made");
        let state = if fails {
            RunState::Failed
        } else {
            RunState::Completed
        };
        assert_eq!(record.parts[&lines].state, state);
    }
}

async fn collections_do_not_touch_each_other(store: &Arc<dyn RunStore>) {
    const COLLECTIONS: usize = 8;
    let names: Vec<_> = (0..COLLECTIONS)
        .map(|n| collection(&format!("parts-{n}")))
        .collect();
    let deltas = names
        .iter()
        .map(|name| (name.clone(), format!("{name}/delta/seven/")));
    store
        .create(&RunRecord::new(key(7), deltas, at(0)))
        .await
        .expect("create");
    let mut workers = JoinSet::new();
    for (n, name) in names.iter().cloned().enumerate() {
        let store = store.clone();
        workers.spawn(async move {
            let prefix = format!("{name}/delta/seven/");
            store
                .start(&key(7), &name, &prefix, at(1))
                .await
                .expect("start");
            let completion = Completion {
                merged_vectors: n as u64,
                ..completion(2)
            };
            store
                .complete(&key(7), &name, &completion)
                .await
                .expect("complete");
        });
    }
    workers.join_all().await;
    let record = store.get(&key(7)).await.expect("get").expect("it was made");
    for (n, name) in names.iter().enumerate() {
        let part = &record.parts[name];
        assert_eq!(
            (part.state, part.merged_vectors),
            (RunState::Completed, n as u64),
            "{name}"
        );
        assert_eq!(part.prefix, format!("{name}/delta/seven/"));
    }
}

async fn the_newest_come_first(store: &dyn RunStore, clock: &dyn Clock) {
    // Later than all other records of the suite, and not created in order.
    for n in [12, 10, 14, 11, 13] {
        let created = at(1_000_000 * i64::try_from(n).expect("small"));
        let lines = (collection("lines"), "lines/delta/x/".to_owned());
        store
            .create(&RunRecord::new(key(n), [lines], created))
            .await
            .expect("create");
    }
    eventually(
        clock,
        "the newest three are listed, newest first",
        async || {
            let listed = store.list(3).await.expect("list");
            listed
                .into_iter()
                .map(|record| record.key)
                .eq([14, 13, 12].map(key))
        },
    )
    .await;
    let all = store.list(100).await.expect("list");
    assert!(all.len() > 5 && all.is_sorted_by(|a, b| a.created_at >= b.created_at));
    assert!(store.list(0).await.expect("list").is_empty());
}
