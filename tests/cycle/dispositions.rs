//! Every fault at every resource of a cycle, and a daemon that is started again when it ends:
//! the table of `compactor_core::disposition` says what becomes of the runs, and none is buried but
//! for what is its own fault.

use std::sync::Arc;

use compactor_core::RunState;
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::fakes::{Call, Faults, Inject};
use compactor_core::ports::Fault;
use compactor_daemon::cycle::NoHooks;

use crate::deltas::content_of;
use crate::port_faults::{all_faults, waiting_with};
use crate::world::{MAX_RECEIVES, World};

/// Whether a call is about a resource; those of the delta are about that of `run-a`.
fn is_about(resource: Resource, call: &Call) -> bool {
    let Call { operation, target } = call;
    let writes = matches!(*operation, "put" | "upload" | "copy");
    let in_version = target.contains("/timestamped/");
    match resource {
        Resource::Pointer => target.ends_with("latest-pointer.txt"),
        Resource::Manifest => target.ends_with("/manifest.json") && !writes,
        Resource::Base => in_version && !target.ends_with("/manifest.json") && !writes,
        Resource::Upload => in_version && writes,
        Resource::Delta => target.contains("delta/run-a"),
        Resource::Deltas => target.contains("delta/run-"),
        Resource::Lock => matches!(*operation, "acquire" | "next_fence"),
        Resource::RunRecord => matches!(*operation, "complete"),
        Resource::Table => matches!(*operation, "get") && !target.contains('/'),
        Resource::Queue => matches!(*operation, "receive"),
        Resource::DeadLetterQueue => matches!(*operation, "dead_letter"),
        Resource::Scratch => matches!(*operation, "download" | "upload"),
        // The fakes have no other bucket, and no port is the log: what becomes of a daemon whose log
        // nobody reads is tried with the binary (`tests/cli`, unread).
        Resource::ForeignDelta | Resource::Log => false,
    }
}

fn port_of(world: &World, resource: Resource) -> &Faults {
    let [objects, queue, leases, runs] = all_faults(world);
    match resource {
        Resource::Queue | Resource::DeadLetterQueue => queue,
        Resource::Lock => leases,
        Resource::Table | Resource::RunRecord => runs,
        _ => objects,
    }
}

/// How often a daemon is started while the fault lasts.
const STARTS: u32 = 8;

fn check(resource: Resource, fault: Fault) {
    let what = format!("{resource:?} {fault:?}");
    let (disposition, _) = of_fault(resource, fault);
    let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
    // Fewer than there are starts.
    let (world, deltas) = waiting_with(MAX_RECEIVES);
    world.expects(&[""]);
    let port = port_of(&world, resource);
    let inject = match resource {
        Resource::Scratch => Inject::FailOnDisk(fault),
        _ => Inject::FailBefore(fault),
    };
    port.when(move |call| is_about(resource, call).then_some(inject));
    for _ in 0..STARTS {
        let ended = world.drain_with(Arc::new(NoHooks));
        if disposition == Disposition::Stop {
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with(resource.name()), "{what}: {error}");
        }
        world.let_everything_expire();
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
    assert_eq!(world.state("run-b", "lines"), RunState::Completed, "{what}");
    assert!(world.queue_is_empty(), "{what}");
}

fn check_all(resource: Resource) {
    for fault in Fault::ALL {
        let (disposition, _) = of_fault(resource, fault);
        let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
        // What fails one of several is tried there.
        if !fails || resource != Resource::Deltas {
            check(resource, fault);
        }
    }
}

macro_rules! resources {
    ($($name:ident: $resource:ident,)*) => {
        $(
            #[test]
            fn $name() {
                check_all(Resource::$resource);
            }
        )*
    };
}

resources! {
    pointer: Pointer,
    base: Base,
    manifest: Manifest,
    upload: Upload,
    delta: Delta,
    deltas: Deltas,
    lock: Lock,
    run_record: RunRecord,
    table: Table,
    queue: Queue,
    dead_letter_queue: DeadLetterQueue,
    working_space: Scratch,
}
