//! What becomes of a run, a collection or the daemon when a port reports a fault: one table, by which
//! the daemon decides, and which `docs/reliability.md` prints.
//!
//! A run is FAILED or dead only for what is its own fault.

use crate::ports::Fault;

/// What a port call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The object that names the published version.
    Pointer,
    /// The files of the published version.
    Base,
    /// The manifest of a version.
    Manifest,
    /// The objects of a new version.
    Upload,
    /// A delta in the daemon's own bucket, of which another one can be read.
    Delta,
    /// All deltas of a cycle in the daemon's own bucket.
    Deltas,
    /// A delta in another bucket.
    ForeignDelta,
    /// The queue.
    Queue,
    /// The dead-letter queue.
    DeadLetterQueue,
    /// The table of locks and run records, looked at before the first message is received.
    Table,
    /// A collection's lock.
    Lock,
    /// A run's record.
    RunRecord,
    /// The working space of this machine.
    Scratch,
    /// The consumer of the daemon's log.
    Log,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Pointer,
        Self::Base,
        Self::Manifest,
        Self::Upload,
        Self::Delta,
        Self::Deltas,
        Self::ForeignDelta,
        Self::Queue,
        Self::DeadLetterQueue,
        Self::Table,
        Self::Lock,
        Self::RunRecord,
        Self::Scratch,
        Self::Log,
    ];

    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pointer => "pointer",
            Self::Base => "published snapshot",
            Self::Manifest => "manifest",
            Self::Upload => "upload",
            Self::Delta => "delta",
            Self::Deltas => "deltas",
            Self::ForeignDelta => "delta in another bucket",
            Self::Queue => "queue",
            Self::DeadLetterQueue => "dead-letter queue",
            Self::Table => "table",
            Self::Lock => "lock",
            Self::RunRecord => "run record",
            Self::Scratch => "working space",
            Self::Log => "log",
        }
    }
}

/// What is done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The daemon gives its messages back and ends: nothing that it does will succeed.
    Stop,
    /// The messages of the collection are kept, and it is tried again now and then; other collections
    /// go on.
    Pause,
    /// The messages go back while half of their receives are left, since another worker may succeed;
    /// then they are kept.
    Keep,
    /// The message goes back until its receives are used up; then its run is FAILED, and it goes to
    /// the dead-letter queue.
    FailRun,
    /// The run is FAILED, and its message goes to the dead-letter queue at once.
    DeadLetter,
    /// It is logged and counted, and the daemon goes on. A message that it is about comes again by
    /// itself.
    Leave,
}

impl Disposition {
    /// What messages and documents call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Pause => "pause the collection",
            Self::Keep => "keep",
            Self::FailRun => "fail the run",
            Self::DeadLetter => "dead-letter",
            Self::Leave => "leave",
        }
    }
}

/// What is done, and why.
pub fn of_fault(resource: Resource, fault: Fault) -> (Disposition, &'static str) {
    match resource {
        // It is tried before the first receive: a restart uses up none.
        Resource::Pointer if fault == Fault::Unsupported => (Disposition::Stop, NO_FEATURE),
        Resource::Pointer
        | Resource::Base
        | Resource::Manifest
        | Resource::Upload
        | Resource::Lock => of_own(fault),
        Resource::Deltas => of_all_deltas(fault),
        Resource::Delta => of_delta(fault),
        Resource::ForeignDelta => of_foreign_delta(fault),
        Resource::Queue => of_daemon(fault, NO_FEATURE),
        Resource::DeadLetterQueue => (
            Disposition::Leave,
            "the message comes back, and the queue's own rule moves it in the end",
        ),
        Resource::Table => of_daemon(fault, OTHER_TABLE),
        Resource::RunRecord => of_run_record(fault),
        Resource::Scratch => (
            Disposition::Keep,
            "this machine lacks something, another one may not",
        ),
        Resource::Log => (
            Disposition::Leave,
            "the daemon does not wait for a log consumer that stops reading: it drops and counts lines, \
             and logs how many once the log is read again",
        ),
    }
}

/// What the daemon does about a fault before it receives its first message, when ending costs no
/// receive. It ends for what would stop it or pause every collection, and leaves the rest to the cycles.
pub fn at_start(resource: Resource, fault: Fault) -> Disposition {
    // The last three are of one collection: the others can be served.
    let may_pass = matches!(
        fault,
        Fault::Transient
            | Fault::Throttled
            | Fault::OutcomeUnknown
            | Fault::Full
            | Fault::TooLarge
            | Fault::Corrupt
    );
    match of_fault(resource, fault).0 {
        Disposition::Stop | Disposition::Pause if !may_pass => Disposition::Stop,
        Disposition::Stop
        | Disposition::Pause
        | Disposition::Keep
        | Disposition::FailRun
        | Disposition::DeadLetter
        | Disposition::Leave => Disposition::Leave,
    }
}

const NO_ANSWER: &str = "a service does not answer, or has too much to do: no run is to blame";
const NO_RIGHT: &str = "nothing succeeds until someone grants the right";
const NOT_THERE: &str = "nothing succeeds until it is there";
const NO_FEATURE: &str = "nothing succeeds with a service that lacks what is needed";
const OTHER_TABLE: &str = "it is another table than the settings say";
const NO_SPACE: &str = "space may come back, or another worker may have some";

/// What every run of a collection needs.
fn of_own(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => {
            (Disposition::Keep, NO_ANSWER)
        }
        Fault::Denied | Fault::Missing => (
            Disposition::Pause,
            "someone grants the right or brings it back; a daemon that ends and is started again \
             uses up receives",
        ),
        Fault::Unsupported => (Disposition::Pause, NO_FEATURE),
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (
            Disposition::Pause,
            "the collection has outgrown a limit: someone raises it, and no run is to blame",
        ),
        Fault::Corrupt => (
            Disposition::Pause,
            "what the collection is built on is damaged: someone mends it, and no run is to blame",
        ),
        Fault::Invalid => (
            Disposition::Pause,
            "the service refuses what every run of the collection needs: no run is to blame",
        ),
    }
}

/// Where no delta can be read, it may be for a right of the daemon's.
fn of_all_deltas(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Denied | Fault::Invalid | Fault::Unsupported => of_own(fault),
        Fault::Transient
        | Fault::Throttled
        | Fault::OutcomeUnknown
        | Fault::Missing
        | Fault::Full
        | Fault::TooLarge
        | Fault::Corrupt => of_delta(fault),
    }
}

fn of_delta(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => {
            (Disposition::Keep, NO_ANSWER)
        }
        Fault::Missing => (
            Disposition::Pause,
            "the bucket of all collections is not there: someone brings it back",
        ),
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (
            Disposition::DeadLetter,
            "the delta will be as large as it is",
        ),
        Fault::Denied | Fault::Corrupt | Fault::Invalid | Fault::Unsupported => (
            Disposition::FailRun,
            "other deltas of the bucket can be read: this one is its producer's",
        ),
    }
}

fn of_foreign_delta(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (
            Disposition::DeadLetter,
            "the delta will be as large as it is",
        ),
        Fault::Transient
        | Fault::Throttled
        | Fault::OutcomeUnknown
        | Fault::Denied
        | Fault::Missing
        | Fault::Corrupt
        | Fault::Invalid
        | Fault::Unsupported => (
            Disposition::FailRun,
            "the producer has chosen the bucket, and no other run needs it",
        ),
    }
}

/// What the daemon itself needs; `other` says what the resource is where it is not the right one.
fn of_daemon(fault: Fault, other: &'static str) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient
        | Fault::Throttled
        | Fault::OutcomeUnknown
        | Fault::Full
        | Fault::TooLarge
        | Fault::Corrupt => (Disposition::Keep, "it is asked again"),
        Fault::Denied => (Disposition::Stop, NO_RIGHT),
        Fault::Missing => (Disposition::Stop, NOT_THERE),
        Fault::Invalid | Fault::Unsupported => (Disposition::Stop, other),
    }
}

/// The manifest says what became of the run, if it was published.
fn of_run_record(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown | Fault::Full => {
            (Disposition::Keep, NO_ANSWER)
        }
        Fault::Denied
        | Fault::Missing
        | Fault::TooLarge
        | Fault::Corrupt
        | Fault::Invalid
        | Fault::Unsupported => (
            Disposition::Pause,
            "a published run stays published; its message is kept until its record says so too",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deltas_fail_runs() {
        for resource in Resource::ALL {
            for fault in Fault::ALL {
                let (disposition, reason) = of_fault(resource, fault);
                assert!(!reason.is_empty());
                let fails = matches!(disposition, Disposition::FailRun | Disposition::DeadLetter);
                let is_delta = matches!(
                    resource,
                    Resource::Delta | Resource::Deltas | Resource::ForeignDelta
                );
                assert!(!fails || is_delta, "{resource:?} {fault:?}");
            }
        }
    }

    #[test]
    fn what_may_pass_ends_no_daemon_at_its_start() {
        let probed = [
            Resource::Table,
            Resource::Lock,
            Resource::Pointer,
            Resource::Queue,
        ];
        for resource in probed {
            for fault in Fault::ALL {
                let is_for_good = matches!(
                    fault,
                    Fault::Denied | Fault::Missing | Fault::Invalid | Fault::Unsupported
                );
                let stops = at_start(resource, fault) == Disposition::Stop;
                assert_eq!(stops, is_for_good, "{resource:?} {fault:?}");
            }
        }
    }
}
