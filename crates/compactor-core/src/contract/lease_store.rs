//! The contract of lease stores: one owner per lock, and fences that only grow.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{RACERS, lineage};
use crate::ports::{Acquired, Clock, LeaseStore, LockHolder};
use crate::{Fence, Lineage};

const TERM: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

const ANNA: Uuid = Uuid::from_u128(0xa);
const BERT: Uuid = Uuid::from_u128(0xb);
const CARL: Uuid = Uuid::from_u128(0xc);

/// Checks a lease store that has neither locks nor fences. `clock` must be the one that it uses.
pub async fn lease_store(store: Arc<dyn LeaseStore>, clock: Arc<dyn Clock>) {
    a_lock_has_one_owner(&*store, &*clock).await;
    the_holder_can_be_asked_for(&*store, &*clock).await;
    only_the_owner_frees_it(&*store).await;
    an_expired_lock_is_free(&*store, &*clock).await;
    renewing_makes_it_last(&*store, &*clock).await;
    fences_only_grow(&*store).await;
    of_many_one_gets_it(&store).await;
    many_get_different_fences(&store).await;
}

async fn gets(store: &dyn LeaseStore, name: &Lineage, owner: Uuid, term: Duration) -> bool {
    store.acquire(name, owner, term).await.expect("acquire") == Acquired::Held
}

async fn frees(store: &dyn LeaseStore, name: &Lineage, owner: Uuid) -> bool {
    store.release(name, owner).await.expect("release")
}

#[expect(clippy::panic, reason = "a suite reports by panicking")]
async fn a_lock_has_one_owner(store: &dyn LeaseStore, clock: &dyn Clock) {
    let (name, other) = (lineage("lease-one"), lineage("lease-other"));
    let before = clock.wall();
    assert!(gets(store, &name, ANNA, LONG).await);
    match store.acquire(&name, BERT, LONG).await.expect("acquire") {
        Acquired::Busy(LockHolder { owner, expires }) => {
            assert_eq!(owner, ANNA.to_string());
            let expires = expires.expect("the store knows when it expires");
            assert!(expires >= before.plus(LONG) && expires <= clock.wall().plus(LONG));
        }
        Acquired::Held => panic!("two owners of one lock"),
    }
    assert!(
        gets(store, &name, ANNA, LONG).await,
        "the owner may take it again"
    );
    assert!(
        gets(store, &other, BERT, LONG).await,
        "lineages are independent"
    );
}

async fn the_holder_can_be_asked_for(store: &dyn LeaseStore, clock: &dyn Clock) {
    let name = lineage("lease-holder");
    assert_eq!(store.holder(&name).await.expect("holder"), None);
    let before = clock.wall();
    assert!(gets(store, &name, ANNA, TERM).await);
    let holder = store.holder(&name).await.expect("holder").expect("held");
    assert_eq!(holder.owner, ANNA.to_string());
    let expires = holder.expires.expect("the store knows when it expires");
    assert!(expires >= before.plus(TERM) && expires <= clock.wall().plus(TERM));
    clock.sleep(TERM + TERM / 2).await;
    assert_eq!(store.holder(&name).await.expect("holder"), None, "expired");
    assert!(gets(store, &name, BERT, LONG).await);
    assert!(frees(store, &name, BERT).await);
    assert_eq!(store.holder(&name).await.expect("holder"), None, "freed");
}

async fn only_the_owner_frees_it(store: &dyn LeaseStore) {
    let name = lineage("lease-free");
    assert!(!frees(store, &name, ANNA).await, "no owner holds it");
    assert!(gets(store, &name, ANNA, LONG).await);
    assert!(!frees(store, &name, BERT).await);
    assert!(!gets(store, &name, BERT, LONG).await, "it is still held");
    assert!(frees(store, &name, ANNA).await);
    assert!(!frees(store, &name, ANNA).await, "it was freed already");
    assert!(gets(store, &name, BERT, LONG).await);
}

async fn an_expired_lock_is_free(store: &dyn LeaseStore, clock: &dyn Clock) {
    let name = lineage("lease-expiry");
    assert!(gets(store, &name, ANNA, TERM).await);
    assert!(!gets(store, &name, BERT, LONG).await);
    clock.sleep(TERM + TERM / 2).await;
    assert!(gets(store, &name, BERT, LONG).await);
    assert!(
        !store.renew(&name, ANNA, LONG).await.expect("renew"),
        "another owner holds it now"
    );
    assert!(!frees(store, &name, ANNA).await);
    assert!(
        !gets(store, &name, CARL, LONG).await,
        "the new owner lost nothing"
    );
}

async fn renewing_makes_it_last(store: &dyn LeaseStore, clock: &dyn Clock) {
    let name = lineage("lease-renew");
    assert!(
        !store.renew(&name, ANNA, LONG).await.expect("renew"),
        "no owner holds it"
    );
    assert!(gets(store, &name, ANNA, TERM).await);
    assert!(
        !store.renew(&name, BERT, LONG).await.expect("renew"),
        "another owner holds it"
    );
    assert!(store.renew(&name, ANNA, LONG).await.expect("renew"));
    clock.sleep(TERM + TERM / 2).await;
    assert!(!gets(store, &name, BERT, LONG).await);
    assert!(frees(store, &name, ANNA).await);
    assert!(
        !store.renew(&name, ANNA, LONG).await.expect("renew"),
        "freed is freed"
    );
}

async fn fences_only_grow(store: &dyn LeaseStore) {
    let (name, other) = (lineage("fence-one"), lineage("fence-other"));
    assert_eq!(store.next_fence(&name).await.expect("fence"), Fence(1));
    assert_eq!(store.next_fence(&name).await.expect("fence"), Fence(2));
    assert_eq!(store.next_fence(&other).await.expect("fence"), Fence(1));
    assert!(gets(store, &name, ANNA, LONG).await);
    assert!(frees(store, &name, ANNA).await);
    assert_eq!(
        store.next_fence(&name).await.expect("fence"),
        Fence(3),
        "it survives the lock"
    );
}

async fn of_many_one_gets_it(store: &Arc<dyn LeaseStore>) {
    let name = lineage("lease-race");
    let mut racers = JoinSet::new();
    for racer in 1..=RACERS {
        let (store, name) = (store.clone(), name.clone());
        let owner = Uuid::from_u128(racer as u128);
        racers.spawn(async move { gets(&*store, &name, owner, LONG).await });
    }
    let winners = racers
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(winners, 1);
}

async fn many_get_different_fences(store: &Arc<dyn LeaseStore>) {
    let name = lineage("fence-race");
    let mut racers = JoinSet::new();
    for _ in 0..RACERS {
        let (store, name) = (store.clone(), name.clone());
        racers.spawn(async move { store.next_fence(&name).await.expect("fence") });
    }
    let mut fences = racers.join_all().await;
    fences.sort();
    let expected: Vec<_> = (1..=RACERS as u64).map(Fence).collect();
    assert_eq!(fences, expected);
}
