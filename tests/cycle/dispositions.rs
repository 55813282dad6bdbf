//! Every fault at every resource of a cycle, and a daemon that is started again when it ends.
//! The table of `compactor_core::disposition` says what becomes of the runs: a run is buried only
//! for its own fault.

use compactor_core::RunState;
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::fakes::{Call, Faults, Inject};
use compactor_core::ports::Fault;

use crate::deltas::{Delta, base_and_two, content_of};
use crate::port_faults::all_faults;
use crate::world::{Backend, Kind, MAX_RECEIVES, World};

const BUCKET: &str = "theirs";

/// Whether a call for collection `lines` is about a resource. The delta is that of `run-a`.
fn is_about(resource: Resource, call: &Call) -> bool {
    let Call { operation, target } = call;
    let writes = matches!(*operation, "put" | "upload" | "copy");
    let is_ours = target.starts_with("lines/");
    let in_version = is_ours && target.contains("/timestamped/");
    match resource {
        Resource::Pointer => is_ours && target.ends_with("latest-pointer.txt"),
        Resource::Manifest => in_version && target.ends_with("/manifest.json") && !writes,
        Resource::Base => in_version && !target.ends_with("/manifest.json") && !writes,
        Resource::Upload => in_version && writes,
        Resource::Delta | Resource::ForeignDelta => target.contains("delta/run-a"),
        Resource::Deltas => is_ours && target.contains("delta/run-"),
        Resource::Lock => target == "lines",
        Resource::RunRecord => target == "run-a" || target == "run-b",
        Resource::Table => matches!(*operation, "get") && !target.contains('/'),
        Resource::Queue => matches!(*operation, "receive"),
        Resource::DeadLetterQueue => matches!(*operation, "dead_letter"),
        Resource::Scratch => is_ours && matches!(*operation, "download" | "upload"),
        // No port is the log: `tests/cli` (blocked_log) runs the binary with a log that no process
        // reads.
        Resource::Log => false,
    }
}

fn rule(
    resource: Resource,
    only: Option<&'static str>,
    inject: Inject,
) -> impl FnMut(&Call) -> Option<Inject> {
    move |call| {
        let is_one = only.is_none_or(|only| only == call.operation);
        (is_one && is_about(resource, call)).then_some(inject)
    }
}

fn port_of(world: &World, resource: Resource) -> &Faults {
    let [objects, queue, leases, runs] = all_faults(world);
    match resource {
        Resource::Queue | Resource::DeadLetterQueue => queue,
        Resource::Lock => leases,
        Resource::Table | Resource::RunRecord => runs,
        Resource::Pointer
        | Resource::Base
        | Resource::Manifest
        | Resource::Upload
        | Resource::Delta
        | Resource::Deltas
        | Resource::ForeignDelta
        | Resource::Scratch
        | Resource::Log => objects,
    }
}

/// Whether a fault at the resource hits one collection, so that others go on.
fn is_of_one_collection(resource: Resource) -> bool {
    !matches!(
        resource,
        Resource::Table | Resource::Queue | Resource::DeadLetterQueue | Resource::Log
    )
}

/// How often a daemon is started while the fault lasts.
const STARTS: u32 = 8;

/// A base, two runs that wait, and one of another collection.
fn waiting(resource: Resource) -> (World, [Delta; 3]) {
    // Fewer receives than there are starts.
    let world = World::with_max_receives(Kind::Fakes, MAX_RECEIVES);
    world.expects(&[""]);
    let deltas = base_and_two();
    world.submit("run-base", &[&deltas[0]]);
    world.drain();
    match resource {
        Resource::ForeignDelta => world.submit_elsewhere(BUCKET, "run-a", &deltas[1]),
        _ => world.submit("run-a", &[&deltas[1]]),
    }
    world.submit("run-b", &[&deltas[2]]);
    world.submit("run-w", &[&Delta::of("words", "w", 2)]);
    (world, deltas)
}

fn check(resource: Resource, only: Option<&'static str>, fault: Fault) {
    let what = format!("{resource:?} {only:?} {fault:?}");
    let (disposition, _) = of_fault(resource, fault);
    let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
    let (world, deltas) = waiting(resource);
    let inject = match resource {
        Resource::Scratch => Inject::FailOnDisk(fault),
        _ => Inject::FailBefore(fault),
    };
    let theirs = match &world.backend {
        Backend::Fakes { objects, .. } => objects.other(BUCKET),
        Backend::Local(_) => unreachable!("asked for fakes"),
    };
    let port = match resource {
        Resource::ForeignDelta => &theirs.faults,
        _ => port_of(&world, resource),
    };
    port.when(rule(resource, only, inject));
    for _ in 0..STARTS {
        let ended = world.try_drain();
        // An operation may meet no call.
        if disposition == Disposition::Stop && only.is_none() {
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with(resource.name()), "{what}: {error}");
        }
        world.let_everything_expire();
    }
    if is_of_one_collection(resource) && disposition != Disposition::Stop {
        let other = world.state("run-w", "words");
        assert_eq!(other, RunState::Completed, "{what}");
    }
    port.clear();
    world.drain();
    if fails {
        assert_eq!(world.state("run-a", "lines"), RunState::Failed, "{what}");
        let others = [deltas[0].clone(), deltas[2].clone()];
        assert_eq!(world.content("lines"), content_of(&others), "{what}");
    } else {
        assert_eq!(world.depth().dead, 0, "{what}: {:?}", world.dead_letters());
        assert_eq!(world.content("lines"), content_of(&deltas), "{what}");
        assert_eq!(world.state("run-a", "lines"), RunState::Completed, "{what}");
    }
    for (run, collection) in [("run-b", "lines"), ("run-w", "words")] {
        assert_eq!(world.state(run, collection), RunState::Completed, "{what}");
    }
    assert!(world.queue_is_empty(), "{what}");
}

/// Lets all calls about the resource fail, or those of one operation.
fn check_all(resource: Resource, only: Option<&'static str>) {
    for fault in Fault::ALL {
        let (disposition, _) = of_fault(resource, fault);
        let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
        // `Resource::Delta` tries the faults that fail one delta of several.
        if !fails || resource != Resource::Deltas {
            check(resource, only, fault);
        }
    }
}

macro_rules! resources {
    ($($name:ident: $resource:ident $($only:literal)?,)*) => {
        $(
            #[test]
            fn $name() {
                let only: &[&str] = &[$($only)?];
                check_all(Resource::$resource, only.first().copied());
            }
        )*
    };
}

resources! {
    pointer_faults_follow_disposition_table: Pointer,
    base_faults_follow_disposition_table: Base,
    manifest_faults_follow_disposition_table: Manifest,
    upload_faults_follow_disposition_table: Upload,
    delta_faults_follow_disposition_table: Delta,
    deltas_faults_follow_disposition_table: Deltas,
    foreign_delta_faults_follow_disposition_table: ForeignDelta,
    lock_faults_follow_disposition_table: Lock,
    lock_fence_faults_follow_disposition_table: Lock "next_fence",
    lock_renewal_faults_follow_disposition_table: Lock "renew",
    lock_release_faults_follow_disposition_table: Lock "release",
    run_record_faults_follow_disposition_table: RunRecord,
    run_record_start_faults_follow_disposition_table: RunRecord "start",
    run_record_completion_faults_follow_disposition_table: RunRecord "complete",
    table_faults_follow_disposition_table: Table,
    queue_faults_follow_disposition_table: Queue,
    dead_letter_queue_faults_follow_disposition_table: DeadLetterQueue,
    working_space_faults_follow_disposition_table: Scratch,
}
