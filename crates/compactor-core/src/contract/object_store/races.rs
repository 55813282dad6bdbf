//! Races: of all conditional puts on one state of a key, exactly one takes effect.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{LIMIT, no_metadata, read, write};
use crate::contract::RACERS;
use crate::ports::{Condition, ObjectStore, PutOutcome};

pub(super) async fn all(store: &Arc<dyn ObjectStore>) {
    one_of_many_wins(store, "races/if-absent", &Condition::IfAbsent).await;
    for round in 0..5 {
        let key = format!("races/if-match-{round}");
        let base = write(&**store, &key, "base").await;
        one_of_many_wins(store, &key, &Condition::IfMatch(base)).await;
    }
    no_increment_is_lost(store).await;
}

async fn one_of_many_wins(store: &Arc<dyn ObjectStore>, key: &str, condition: &Condition) {
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let (store, start, key) = (store.clone(), start.clone(), key.to_owned());
        let (condition, body) = (condition.clone(), format!("racer {racer:02}"));
        racers.spawn(async move {
            start.wait().await;
            let bytes = Bytes::from(body.clone());
            let outcome = store
                .put(&key, bytes, condition, &no_metadata())
                .await
                .expect("put");
            match outcome {
                PutOutcome::Written(_) => Some(body),
                PutOutcome::PreconditionFailed | PutOutcome::Conflict => None,
                PutOutcome::Absent => {
                    assert!(key.is_empty(), "{key} is there");
                    None
                }
            }
        });
    }
    let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "exactly one put wins, got {winners:?}");
    assert_eq!(read(&**store, key).await.as_ref(), winners.first());
}

async fn no_increment_is_lost(store: &Arc<dyn ObjectStore>) {
    const TIMES: usize = 5;
    let key = "races/counter";
    write(&**store, key, "0").await;
    let mut racers = JoinSet::new();
    for _ in 0..RACERS {
        let store = store.clone();
        racers.spawn(async move {
            for _ in 0..TIMES {
                increment(&*store, key).await;
            }
        });
    }
    racers.join_all().await;
    let total = (RACERS * TIMES).to_string();
    assert_eq!(read(&**store, key).await, Some(total));
}

async fn increment(store: &dyn ObjectStore, key: &str) {
    loop {
        let object = store
            .get(key, LIMIT)
            .await
            .expect("get")
            .expect("it is there");
        let text = String::from_utf8(object.body.to_vec()).expect("it is text");
        let next = text.parse::<u64>().expect("it is a number") + 1;
        let (bytes, condition) = (
            Bytes::from(next.to_string()),
            Condition::IfMatch(object.info.etag),
        );
        let outcome = store
            .put(key, bytes, condition, &no_metadata())
            .await
            .expect("put");
        if let PutOutcome::Written(_) = outcome {
            return;
        }
    }
}
