//! The publish protocol, model-checked: every order of steps, crashes and lost answers within the
//! bounds below, with the decisions taken by the functions that production calls.
//!
//! One collection. Workers merge runs and publish by moving the pointer; a checker tries every
//! interleaving breadth first and evaluates the promises of `promises.rs` in every state.
//!
//! # What is the real code
//!
//! `lost_pointer::is_lost` and `to_put_back` decide what a missing pointer means. `swap::decide`,
//! `Attempt::read_back` and `PutResult::of` decide every swap. `Version::mint` makes every id.
//! `Manifest::extend_lineage`, `contains_run` and `validate` work on real manifests.
//! `HeldLease::may_swap` allows a swap, `retention::superseded` chooses what is deleted, and run
//! records change only by `RunPart::complete`. The order of these calls is modelled here: the daemon is
//! not part of this crate.
//!
//! # What is modelled
//!
//! | in production | here |
//! |---|---|
//! | receive, take the lock | `Step::Begin`, with any runs |
//! | next fence | `Step::TakeFence`: others may take the lock in between |
//! | resolve, settle what is applied, fetch, merge, send files | `Step::Resolve` |
//! | write the manifest, renew for the swap | `Step::Complete` |
//! | one put of the pointer | `Step::Put`, with each `Fate` |
//! | one read-back | `Step::ReadBack`, with each `Sight` |
//! | record the batch | `Step::Record` |
//! | acknowledge the batch, release the lock | `Step::Acknowledge` |
//! | killed between any two of them | `Step::Crash`, any number of times |
//! | clean-up | `Clean`: plan, look again, delete files, delete the manifest; killed in between |
//! | a writer without conditions | `Legacy`: reads, and later puts unconditionally |
//! | an operator deletes the pointer, and restores it as the daemon advises | `Vanish`; never between a swap and its record |
//!
//! Steps are joined where only their worker can tell them apart: a crash between them leaves the same
//! state as a crash before the first or after the last.
//!
//! * Every message may be delivered at any time to any worker, again and again, even after it was
//!   deleted. So visibility needs no steps, and giving a message back changes nothing.
//! * A lease may expire at any time: the lock can always be taken. A former holder notices only that it
//!   cannot renew. Lock contention is only a delay and therefore no step.
//! * Answers may be lost any number of times, whether or not the put was applied. A put whose sender
//!   has stopped waiting may be applied at any later time.
//! * A worker that gives up (on a shutdown, on a lost lease, at the end of the time for a swap) leaves
//!   the same state as a crash, and is a crash here.
//! * Tags are made from the content, as on S3: a pointer written back would have its old tag.
//! * The second worker's clock stands still in 1970, so its ids are one microsecond after their
//!   parents and not in the order in which they are made.
//!
//! # What is not
//!
//! Contents: a version is the list of its runs. A crash between two records of one batch, or between
//! two of its messages. A run of a batch that fails for its delta. Run states other than COMPLETED. A
//! bucket that an operator removes. Errors of records, messages and locks: the worker crashes instead.
//! The two reads of a read-back are one step. The daemon decides when to take COMPLETED back after a
//! lost update; the model shows only that the overwritten version can still be found.
//!
//! # Bounds
//!
//! A lease is one cycle of one worker, so the number of leases bounds everything else: cycles, crashes
//! that matter, versions. A cycle rebases at most once.
//!
//! | test | workers | runs | leases | puts under way | besides | states |
//! |---|---|---|---|---|---|---|
//! | `two_workers_keep_every_promise` | 2 | 2 | 3 | 1 | | 1,909,980 |
//! | `three_workers_keep_every_promise` | 3 | 1 | 3 | 1 | | 347,851 |
//! | `one_run_survives_four_cycles` | 2 | 1 | 4 | 1 | | 450,965 |
//! | `clean_up_deletes_only_superseded_versions` | 2 | 2 | 2 | 1 | clean-up | 176,721 |
//! | `rollback_keeps_every_promise` | 2 | 1 | 3 | 1 | one rollback | 156,704 |
//! | `pointer_that_vanishes_is_restored_without_a_loss` | 2 | 2 | 2 | 1 | the pointer is deleted once | 338,034 |
//! | `version_that_a_legacy_writer_overwrites_can_be_found` | 2 | 2 | 2 | 0 | one legacy write | 337,379 |
//! | `worker_without_a_lease_loses_only_the_order_of_fences` | 2 | 2 | 2 | 1 | no lease | 126,189 |
//!
//! No violation within these bounds is no proof beyond them. A hash of 64 bits tells states apart. Each
//! test expects its exact number of states: otherwise a model that became smaller would prove less
//! without a failure.
//!
//! Each test in `mistakes.rs` removes one guard, and must find the promise that the guard keeps.

mod legacy;
mod mistakes;
mod promises;
mod protocol;
mod publish;
mod recovery;
mod snapshots;
mod sweep;
mod vanish;
mod worker;
mod world;

use stateright::{Checker, Model};

use promises::{ACKNOWLEDGED, COMPLETED, CONTINUES, FENCES, GROWS, ONCE, RECORDED, WHOLE};
use protocol::{Mistake, Protocol};

/// As many as there are cores to rely on.
const THREADS: usize = 2;

/// Visits every state and checks every promise. There must be exactly `states` states.
fn check(protocol: Protocol, states: usize) {
    let checker = protocol.checker().threads(THREADS).spawn_bfs().join();
    checker.assert_properties();
    assert_states(checker.unique_state_count(), states);
}

fn assert_states(found: usize, expected: usize) {
    assert_eq!(
        found, expected,
        "states: the model changed; if it was meant to, update the table above and the one of \
         docs/reliability.md"
    );
}

#[test]
fn two_workers_keep_every_promise() {
    check(Protocol::bounded(2, 2, 3), 1_909_980);
}

#[test]
fn three_workers_keep_every_promise() {
    check(Protocol::bounded(3, 1, 3), 347_851);
}

#[test]
fn one_run_survives_four_cycles() {
    check(Protocol::bounded(2, 1, 4), 450_965);
}

#[test]
fn clean_up_deletes_only_superseded_versions() {
    let protocol = Protocol {
        retention: true,
        ..Protocol::bounded(2, 2, 2)
    };
    check(protocol, 176_721);
}

#[test]
fn rollback_keeps_every_promise() {
    let protocol = Protocol {
        rollbacks: 1,
        ..Protocol::bounded(2, 1, 3)
    };
    check(protocol, 156_704);
}

#[test]
fn version_that_a_legacy_writer_overwrites_can_be_found() {
    let protocol = Protocol {
        legacy: true,
        delayed: 0,
        ..Protocol::bounded(2, 2, 2)
    };
    check(protocol, 337_379);
}

#[test]
fn pointer_that_vanishes_is_restored_without_a_loss() {
    let protocol = Protocol {
        vanishes: true,
        ..Protocol::bounded(2, 2, 2)
    };
    check(protocol, 338_034);
}

/// The lease saves work; the conditional put keeps the promises.
#[test]
fn worker_without_a_lease_loses_only_the_order_of_fences() {
    let protocol = Protocol {
        mistake: Some(Mistake::SwapWithoutLease),
        ..Protocol::bounded(2, 2, 2)
    };
    let checker = protocol.checker().threads(THREADS).spawn_bfs().join();
    let kept = [
        WHOLE,
        ACKNOWLEDGED,
        COMPLETED,
        GROWS,
        CONTINUES,
        RECORDED,
        ONCE,
    ];
    for promise in kept {
        checker.assert_no_discovery(promise);
    }
    checker.assert_any_discovery(FENCES);
    assert_states(checker.unique_state_count(), 126_189);
}
