//! The disposition of an error: what becomes of a run, a collection or the daemon when a port reports a
//! fault.
//!
//! The daemon decides by this one table, and `docs/reliability.md` prints it. Only a fault of its delta
//! fails a run.

use crate::ports::Fault;

/// The resource that a port call used when it met a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The pointer, which names the published version.
    Pointer,
    /// The files of the published version, which the next one is built on.
    Base,
    /// The manifest of the published version or of one of its ancestors.
    Manifest,
    /// The objects of a new version, on their way to the store.
    Upload,
    /// A delta in the daemon's own bucket, while another delta of that bucket can be read.
    Delta,
    /// All deltas of a cycle in the daemon's own bucket: none can be read.
    Deltas,
    /// A delta in a bucket that its producer chose.
    ForeignDelta,
    /// The queue of messages.
    Queue,
    /// The queue of messages that were given up.
    DeadLetterQueue,
    /// The table of locks and run records, which the daemon checks before it receives a message.
    Table,
    /// The lock of a collection.
    Lock,
    /// The record of a run.
    RunRecord,
    /// The folder on this machine for working copies.
    Scratch,
    /// The reader of the daemon's log output.
    Log,
}

impl Resource {
    /// Every resource, in the order in which docs/reliability.md lists them.
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

    /// The name in error messages and documents.
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

/// What the daemon does about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The daemon gives its messages back and ends, because nothing that it does would succeed.
    Stop,
    /// The daemon keeps the messages of the collection and tries the collection again now and then. Other
    /// collections go on.
    Pause,
    /// The daemon gives the messages back while half of their receives are left, since another worker may
    /// succeed. After that it keeps them.
    Keep,
    /// The daemon gives the message back until its receives are used up. Then the run is FAILED and the
    /// message goes to the dead-letter queue.
    FailRun,
    /// The run is FAILED, and its message goes to the dead-letter queue at once.
    DeadLetter,
    /// The daemon logs and counts the fault and goes on. A message that it concerns is delivered again by
    /// itself.
    Leave,
}

impl Disposition {
    /// The name in log lines and documents.
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

/// The disposition of a fault, and the reason as docs/reliability.md prints it.
pub fn of_fault(resource: Resource, fault: Fault) -> (Disposition, &'static str) {
    match resource {
        // The daemon tries this before it receives a message, so a restart uses up no receive.
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
            "the message is delivered again, and the queue's own policy moves it in the end",
        ),
        Resource::Table => of_daemon(fault, OTHER_TABLE),
        Resource::RunRecord => of_run_record(fault),
        Resource::Scratch => (
            Disposition::Keep,
            "this machine lacks something that another one may have",
        ),
        Resource::Log => (
            Disposition::Leave,
            "the daemon does not wait for a log consumer that stops reading: it drops and counts lines, \
             and logs how many once the log is read again",
        ),
    }
}

/// The disposition of a fault that the daemon meets before it receives its first message, when ending
/// costs no receive. It stops for a fault that would stop it or pause every collection, and leaves all
/// others to the cycles.
pub fn at_start(resource: Resource, fault: Fault) -> Disposition {
    // The last three concern one collection; the daemon can serve the others.
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
const NO_RIGHT: &str = "nothing succeeds until an operator grants the right";
const NOT_THERE: &str = "nothing succeeds until it exists";
const NO_FEATURE: &str = "nothing succeeds with a service that lacks a needed feature";
const OTHER_TABLE: &str = "the table does not have the form that the daemon needs";
const NO_SPACE: &str = "space may come back, or another worker may have some";

/// For a resource that every run of a collection needs.
fn of_own(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => {
            (Disposition::Keep, NO_ANSWER)
        }
        Fault::Denied | Fault::Missing => (
            Disposition::Pause,
            "an operator must grant the right or restore it; a daemon that restarts would use up receives",
        ),
        Fault::Unsupported => (Disposition::Pause, NO_FEATURE),
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (
            Disposition::Pause,
            "the collection has outgrown a limit, which an operator must raise: no run is to blame",
        ),
        Fault::Corrupt => (
            Disposition::Pause,
            "what the collection is built on is damaged, and an operator must repair it: no run is to blame",
        ),
        Fault::Invalid => (
            Disposition::Pause,
            "the service refuses what every run of the collection needs: no run is to blame",
        ),
    }
}

/// If no delta can be read, the daemon may lack a right.
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
            "the bucket of all collections does not exist: an operator must restore it",
        ),
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (Disposition::DeadLetter, "the delta stays too large"),
        Fault::Denied | Fault::Corrupt | Fault::Invalid | Fault::Unsupported => (
            Disposition::FailRun,
            "other deltas of the bucket can be read, so the fault is in this one",
        ),
    }
}

fn of_foreign_delta(fault: Fault) -> (Disposition, &'static str) {
    match fault {
        Fault::Full => (Disposition::Keep, NO_SPACE),
        Fault::TooLarge => (Disposition::DeadLetter, "the delta stays too large"),
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

/// For a resource that the daemon itself needs. `other` is the reason if the resource is not the right
/// one.
fn of_daemon(fault: Fault, other: &'static str) -> (Disposition, &'static str) {
    match fault {
        Fault::Transient
        | Fault::Throttled
        | Fault::OutcomeUnknown
        | Fault::Full
        | Fault::TooLarge
        | Fault::Corrupt => (Disposition::Keep, "the daemon tries again"),
        Fault::Denied => (Disposition::Stop, NO_RIGHT),
        Fault::Missing => (Disposition::Stop, NOT_THERE),
        Fault::Invalid | Fault::Unsupported => (Disposition::Stop, other),
    }
}

/// A failure to write a record changes no run: the manifest already says which runs are published.
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
    fn run_fails_only_for_its_delta() {
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
    fn fault_that_may_pass_does_not_stop_the_daemon_at_its_start() {
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
