//! Protocols that lack one guard each. The checker must find the promise that each of them breaks: a
//! promise that no mistake breaks would prove nothing.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::THREADS;
use super::promises::{COMPLETED, GROWS, ONCE, SUPERSEDED, WHOLE};
use super::protocol::{Mistake, Protocol};

/// Checks that a protocol with `mistake` breaks the promise `broken`.
fn finds(mistake: Mistake, broken: &'static str) {
    let protocol = Protocol {
        retention: mistake == Mistake::CollectUnreferenced,
        vanishes: matches!(mistake, Mistake::StartOver | Mistake::PutBackNewest),
        mistake: Some(mistake),
        ..Protocol::bounded(2, 2, 2)
    };
    let checker = protocol
        .checker()
        .threads(THREADS)
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([broken])))
        .spawn_bfs()
        .join();
    checker.assert_any_discovery(broken);
}

#[test]
fn unconditional_put_loses_completed_runs() {
    finds(Mistake::PutUnconditionally, COMPLETED);
}

/// A put that was applied may be repeated, and its repetition refused.
#[test]
fn deleting_a_refused_upload_deletes_a_published_version() {
    finds(Mistake::DeleteOnRefusal, WHOLE);
}

#[test]
fn unanswered_put_taken_for_success_completes_unpublished_runs() {
    finds(Mistake::SilenceIsSuccess, COMPLETED);
}

#[test]
fn run_not_looked_up_in_the_lineage_is_merged_twice() {
    finds(Mistake::ForgetLineage, ONCE);
}

#[test]
fn version_ids_from_the_clock_alone_go_back() {
    finds(Mistake::MintFromClock, GROWS);
}

#[test]
fn new_lineage_for_a_lost_pointer_loses_completed_runs() {
    finds(Mistake::StartOver, COMPLETED);
}

/// The newest version may have lost the race against the published one.
#[test]
fn pointer_restored_to_the_newest_version_loses_completed_runs() {
    finds(Mistake::PutBackNewest, COMPLETED);
}

/// A version that is not referenced yet may be about to be published.
#[test]
fn deleting_unreferenced_versions_deletes_newer_ones() {
    finds(Mistake::CollectUnreferenced, SUPERSEDED);
}

#[test]
fn deleting_unreferenced_versions_deletes_one_that_gets_published() {
    finds(Mistake::CollectUnreferenced, WHOLE);
}
