//! Which collections a cycle may begin for, and how much work it takes.

use std::time::Duration;

use compactor_core::ports::{Attributes, Delivery, Monotonic, Receipt};
use compactor_core::{RunKey, Source, Work, WorkId, keys::DeltaLocation};

use super::{Collections, PauseReason, Phase, later};
use crate::intake::ReceivedWork;

const START: Monotonic = Monotonic(Duration::from_secs(100));

fn work(collection: &str, run: &str) -> ReceivedWork {
    let prefix = format!("{collection}/delta/{run}/");
    ReceivedWork {
        work: Work {
            id: WorkId::Run(RunKey::plain(run.parse().unwrap())),
            collection: collection.parse().unwrap(),
            source: Source::Delta {
                location: DeltaLocation::parse(&prefix).unwrap(),
                prefix,
            },
        },
        delivery: Delivery {
            message_id: run.to_owned(),
            receipt: Receipt(run.to_owned()),
            body: String::new(),
            attributes: Attributes::new(),
            receive_count: 1,
            of_queue: None,
        },
        since: START,
    }
}

fn names(collections: &mut Collections, now: Monotonic) -> Vec<String> {
    let ready = collections.ready(now);
    ready.iter().map(ToString::to_string).collect()
}

fn runs(work: &[ReceivedWork]) -> Vec<String> {
    work.iter().map(|one| one.work.id.to_string()).collect()
}

#[test]
fn waiting_work_comes_before_a_due_flush_and_pauses_end_by_themselves() {
    let mut collections = Collections::default();
    let name = |text: &str| text.parse().unwrap();
    collections.get(&name("aaa")).flush_due = Some(START);
    collections.get(&name("bbb")).flush_due = Some(later(START, Duration::from_secs(60)));
    collections.wait(work("ccc", "run-c"));
    collections.wait(work("ddd", "run-d"));
    collections.get(&name("ddd")).phase = Phase::Paused {
        until: later(START, Duration::from_secs(1)),
        why: PauseReason::Fault,
    };
    assert_eq!(names(&mut collections, START), ["ccc", "aaa"]);
    let next = collections.next_change(START);
    assert_eq!(next, Some(later(START, Duration::from_secs(1))));
    let after = later(START, Duration::from_secs(1));
    assert_eq!(names(&mut collections, after), ["ccc", "ddd", "aaa"]);
    collections.get(&name("ccc")).phase = Phase::Running;
    assert_eq!(names(&mut collections, after), ["ddd", "aaa"]);
}

#[test]
fn batch_takes_the_oldest_work_and_one_piece_while_runs_are_merged_one_by_one() {
    let mut collections = Collections::default();
    for run in ["run-a", "run-b", "run-c", "run-d"] {
        collections.wait(work("words", run));
    }
    let state = collections.get(&"words".parse().unwrap());
    state.one_by_one = 1;
    assert_eq!(runs(&state.take_batch(3)), ["run-a"]);
    assert_eq!(runs(&state.take_batch(2)), ["run-b", "run-c"]);
    state.put_first(vec![work("words", "run-b")]);
    assert_eq!(runs(&state.take_batch(9)), ["run-b", "run-d"]);
    assert!(!collections.has_waiting());
}

#[test]
fn work_that_waits_beside_a_collection_is_counted_by_its_reason() {
    let mut collections = Collections::default();
    for collection in ["aaa", "bbb", "ccc"] {
        collections.wait(work(collection, "run-a"));
    }
    let name = |text: &str| text.parse().unwrap();
    collections.get(&name("aaa")).contention =
        Some(super::lock_contention::LockContention::default());
    collections.get(&name("bbb")).phase = Phase::Paused {
        until: later(START, Duration::from_secs(9)),
        why: PauseReason::WaitsForOperator,
    };
    assert_eq!(collections.waiting_for_locks(&name("ccc")), 1);
    assert_eq!(collections.waiting_for_locks(&name("aaa")), 0);
    assert_eq!(collections.waiting_in_pauses(&name("ccc")), 1);
    assert_eq!(collections.waiting_in_pauses(&name("bbb")), 0);
}
