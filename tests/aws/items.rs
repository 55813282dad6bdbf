//! Items of the table, field by field, as the Python writers have them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use compactor_core::fakes::FakeClock;
use compactor_core::ports::{Acquired, LeaseStore, LockHolder, RunStore, WallTime};
use compactor_core::{CollectionName, Lineage, RunKey, RunRecord};
use compactor_testkit::cloud::Cloud;
use uuid::Uuid;

/// An item with its values as text: type and value.
fn plain(item: std::collections::HashMap<String, AttributeValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        AttributeValue::S(text) => format!("S {text}"),
        AttributeValue::N(number) => format!("N {number}"),
        AttributeValue::Null(_) => "NULL".to_owned(),
        other => panic!("{other:?}"),
    };
    item.into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

fn expected(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(own).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_items_have_the_fields_of_python_writers() {
    let cloud = Cloud::new(3).await;
    let leases = cloud.backend().await.leases;
    let words: Lineage = "words".parse().unwrap();
    let (owner, term) = (Uuid::from_u128(7), Duration::from_secs(180));
    assert_eq!(
        leases.acquire(&words, owner, term).await.unwrap(),
        Acquired::Held
    );
    for lock in ["chroma-words-compaction", "chroma-words-update"] {
        let key = format!("LOCK#words#{lock}");
        let item = plain(cloud.item(&key, "LOCK").await.unwrap());
        let expires = item["expires"].strip_prefix("S ").unwrap().to_owned();
        let time = WallTime::parse_iso(&expires).unwrap();
        assert_eq!(time.to_iso(), expires, "always microseconds and +00:00");
        let fields = expected(&[
            ("PK", &format!("S {key}")),
            ("SK", "S LOCK"),
            ("GSI1PK", "S LOCK#words"),
            ("GSI1SK", &format!("S EXPIRES#{expires}")),
            ("TYPE", "S COMPACTION_LOCK"),
            ("owner", &format!("S {owner}")),
            ("expires", &format!("S {expires}")),
            ("collection", "S words"),
            ("heartbeat", "NULL"),
        ]);
        assert_eq!(item, fields);
    }
    assert!(leases.renew(&words, owner, term).await.unwrap());
    let item = plain(
        cloud
            .item("LOCK#words#chroma-words-update", "LOCK")
            .await
            .unwrap(),
    );
    assert!(WallTime::parse_iso(item["heartbeat"].strip_prefix("S ").unwrap()).is_ok());
    assert!(leases.release(&words, owner).await.unwrap());
    assert!(
        cloud
            .item("LOCK#words#chroma-words-update", "LOCK")
            .await
            .is_none()
    );
}

/// The daemon takes both locks or none; a Python writer holds one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_of_another_writer_is_respected_and_no_half_lock_is_kept() {
    let cloud = Cloud::new(3).await;
    let leases = cloud.backend().await.leases;
    let words: Lineage = "words".parse().unwrap();
    let (owner, term) = (Uuid::from_u128(7), Duration::from_secs(180));
    let expires = cloud.clock.wall().plus(term).to_iso();
    let item = [
        ("PK", "LOCK#words#chroma-words-update"),
        ("SK", "LOCK"),
        ("owner", "python"),
        ("expires", &expires),
    ];
    cloud.put_item(&item).await;
    match leases.acquire(&words, owner, term).await.unwrap() {
        Acquired::Busy(holder) => {
            let until = holder.expires.map(|until| until.to_iso());
            assert_eq!(
                (holder.owner.as_str(), until.as_ref()),
                ("python", Some(&expires))
            );
        }
        Acquired::Held => panic!("another writer has it"),
    }
    assert!(
        cloud
            .item("LOCK#words#chroma-words-compaction", "LOCK")
            .await
            .is_none()
    );
    assert!(!leases.release(&words, owner).await.unwrap());
    let item = cloud.item("LOCK#words#chroma-words-update", "LOCK").await;
    assert_eq!(plain(item.unwrap())["owner"], "S python");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_records_have_the_fields_of_python_producers() {
    let cloud = Cloud::new(3).await;
    let runs = cloud.backend().await.runs;
    let id = "3f0c9d52-6a5e-4a52-9d6b-000000000000";
    let image = "7e2bd911-6a5e-4a52-9d6b-000000000000";
    let key = RunKey {
        run_id: id.parse().unwrap(),
        image_id: image.to_owned(),
        receipt_id: 12,
    };
    let at = WallTime::parse_iso("2026-11-21T00:11:47.918955+00:00").unwrap();
    let deltas =
        ["lines", "words"].map(|name| (name.parse().unwrap(), format!("{name}/delta/{id}/")));
    runs.create(&RunRecord::new(key.clone(), deltas, at))
        .await
        .unwrap();
    let (partition, sort) = (
        format!("IMAGE#{image}"),
        format!("RECEIPT#00012#COMPACTION_RUN#{id}"),
    );
    let item = plain(cloud.item(&partition, &sort).await.unwrap());
    let mut fields = expected(&[
        ("PK", &format!("S {partition}")),
        ("SK", &format!("S {sort}")),
        ("GSI1PK", "S RUNS"),
        ("GSI1SK", "S CREATED_AT#2026-11-21T00:11:47.918955+00:00"),
        ("TYPE", "S COMPACTION_RUN"),
        ("run_id", &format!("S {id}")),
        ("image_id", &format!("S {image}")),
        ("receipt_id", "N 12"),
        ("created_at", "S 2026-11-21T00:11:47.918955+00:00"),
        ("updated_at", "NULL"),
    ]);
    for name in ["lines", "words"] {
        for (field, value) in [
            ("delta_prefix", format!("S {name}/delta/{id}/").as_str()),
            ("state", "S PENDING"),
            ("started_at", "NULL"),
            ("finished_at", "NULL"),
            ("error", "NULL"),
            ("merged_vectors", "N 0"),
        ] {
            fields.insert(format!("{name}_{field}"), value.to_owned());
        }
    }
    assert_eq!(item, fields);

    // Completing one collection leaves the other as it is.
    let lines: CollectionName = "lines".parse().unwrap();
    let completion = compactor_core::ports::Completion {
        merged_vectors: 42,
        ignored_operations: 5,
        version: "20261121_000212_517191_74bfc63c".parse().unwrap(),
        fence: compactor_core::Fence(7),
        at,
    };
    runs.complete(&key, &lines, &completion).await.unwrap();
    for (field, value) in [
        ("lines_state", "S COMPLETED"),
        ("lines_finished_at", "S 2026-11-21T00:11:47.918955+00:00"),
        ("lines_merged_vectors", "N 42"),
        ("lines_ignored_operations", "N 5"),
        ("lines_version", "S 20261121_000212_517191_74bfc63c"),
        ("lines_fence", "N 7"),
        ("updated_at", "S 2026-11-21T00:11:47.918955+00:00"),
    ] {
        fields.insert(field.to_owned(), value.to_owned());
    }
    let item = plain(cloud.item(&partition, &sort).await.unwrap());
    assert_eq!(item, fields);
}

/// A writer died half-way, or an operator wrote it: no writer would ever find it expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_without_an_expiry_is_taken_over_after_half_an_hour() {
    for owner in [Some("gone"), None] {
        let cloud = Cloud::new(3).await;
        let clock = Arc::new(FakeClock::manual());
        let leases = cloud.backend_by(clock.clone()).await.leases;
        let words: Lineage = "words".parse().unwrap();
        let mut lock = vec![("PK", "LOCK#words#chroma-words-update"), ("SK", "LOCK")];
        lock.extend(owner.map(|owner| ("owner", owner)));
        cloud.put_item(&lock).await;
        let (ours, term) = (Uuid::from_u128(7), Duration::from_secs(180));
        for minutes in [0, 29] {
            clock.advance(Duration::from_secs(60 * minutes));
            let acquired = leases.acquire(&words, ours, term).await.unwrap();
            let expected = LockHolder {
                owner: owner.unwrap_or("").to_owned(),
                expires: None,
            };
            assert_eq!(acquired, Acquired::Busy(expected.clone()));
            let holder = leases.holder(&words).await.unwrap();
            assert_eq!(holder, Some(expected));
        }
        clock.advance(Duration::from_secs(120));
        let acquired = leases.acquire(&words, ours, term).await.unwrap();
        assert_eq!(acquired, Acquired::Held);
        let holder = leases.holder(&words).await.unwrap();
        assert_eq!(holder.unwrap().owner, ours.to_string());
    }
}
