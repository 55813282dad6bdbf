//! What becomes of a message whose run failed: the table of [`compactor_core::disposition`] for faults of
//! ports, and one of its own for all other errors. A plain decision; `settle` carries it out.

use chroma_store::{Kind, StoreError};
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::Fault;
use compactor_snapshots::Error as SnapshotError;

use crate::Error;
use crate::receives::has_receives_left;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The run's delta could not be fetched or merged; the other runs' could.
    Delta,
    /// The cycle, for all its runs.
    Cycle,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Back to the queue: later, or another worker, may succeed.
    GiveBack,
    /// The daemon keeps the message: the run did not cause the failure.
    Keep,
    /// To the dead-letter queue, and the run is FAILED.
    DeadLetter,
}

impl Fate {
    /// The same where the failure could not be recorded: the producer of the run looks at its record, not at dead
    /// letters.
    pub(super) fn unrecorded(self, receives: u32, max_receives: u32) -> Self {
        match self {
            Self::DeadLetter if receives < max_receives => Self::GiveBack,
            fate => fate,
        }
    }
}

/// Decides it, for a message that was received `receives` times of `max_receives`.
pub(super) fn decide(failed: Failed, error: &Error, receives: u32, max_receives: u32) -> Fate {
    match disposition(failed, error) {
        Disposition::DeadLetter => Fate::DeadLetter,
        Disposition::FailRun if receives < max_receives => Fate::GiveBack,
        Disposition::FailRun => Fate::DeadLetter,
        Disposition::Keep | Disposition::Leave if has_receives_left(receives, max_receives) => {
            Fate::GiveBack
        }
        // A daemon that stops gives back all that it has in flight.
        Disposition::Keep | Disposition::Leave | Disposition::Pause | Disposition::Stop => {
            Fate::Keep
        }
    }
}

/// Whether a cycle's error must end the daemon.
pub(super) fn must_stop(error: &Error) -> bool {
    disposition(Failed::Cycle, error) == Disposition::Stop
}

/// What is done about an error of a cycle.
pub(super) fn disposition(failed: Failed, error: &Error) -> Disposition {
    match error {
        Error::Snapshot(error) => of_snapshot(failed, error),
        Error::Message(_)
        | Error::Unhandled { .. }
        | Error::DeltaBucket { .. }
        | Error::CollectionUnknown { .. }
        | Error::OtherQueue { .. }
        | Error::CollectionRefused { .. }
        | Error::DeltaPlace { .. }
        | Error::TooManyCollections { .. }
        | Error::RunDiffers { .. } => Disposition::DeadLetter,
        // The next attempt makes another version.
        Error::LeaseLost { .. } | Error::Stopping => Disposition::Keep,
        // Another worker may have more room.
        Error::DeltaMissing { .. }
        | Error::DeltaChanged { .. }
        | Error::RunExists { .. }
        | Error::DeltaRoom { .. } => Disposition::FailRun,
    }
}

/// What is done about an error of work on a snapshot or a delta.
fn of_snapshot(failed: Failed, error: &SnapshotError) -> Disposition {
    match error {
        SnapshotError::Port { resource, error } => of_fault(*resource, error.fault).0,
        SnapshotError::Store(error) => of_directory(failed, error),
        // A delta will be what it is; an operator mends a published snapshot.
        SnapshotError::ObjectName { .. } | SnapshotError::TooLarge { .. } => match failed {
            Failed::Delta => Disposition::DeadLetter,
            Failed::Cycle => Disposition::Pause,
        },
        SnapshotError::Pointer { .. }
        | SnapshotError::PointerText { .. }
        | SnapshotError::PointerGone { .. }
        | SnapshotError::PointerInUse { .. }
        | SnapshotError::VersionMissing { .. }
        | SnapshotError::NothingPublished { .. }
        | SnapshotError::Shrunk { .. }
        | SnapshotError::ManifestMissing { .. }
        | SnapshotError::Manifest { .. }
        | SnapshotError::SnapshotFile { .. } => Disposition::Pause,
        // The next attempt makes another version.
        SnapshotError::UploadExists { .. }
        | SnapshotError::UploadDiffers { .. }
        | SnapshotError::Overtaken { .. } => Disposition::Keep,
        SnapshotError::SwapUnknown { .. } => Disposition::Leave,
        // One of several deltas made it panic: they are merged one by one then.
        SnapshotError::Task { .. } => match failed {
            Failed::Delta => Disposition::FailRun,
            Failed::Cycle => Disposition::Keep,
        },
    }
}

/// A delta's, or that of the published snapshot and what is made of it.
fn of_directory(failed: Failed, error: &StoreError) -> Disposition {
    if error.is_of_machine() {
        // One answer to every fault.
        return of_fault(Resource::Scratch, Fault::Full).0;
    }
    match (error.kind(), failed) {
        (Kind::BadInput, Failed::Delta) => Disposition::DeadLetter,
        (Kind::BadInput, Failed::Cycle) => Disposition::Pause,
        // Other errors of the environment are odd names in archives, or SQLite's answers to odd databases.
        (Kind::Environment, Failed::Delta) => Disposition::FailRun,
        (Kind::Environment, Failed::Cycle) | (Kind::Busy, _) => Disposition::Keep,
        (Kind::SelfCheck, Failed::Delta) => Disposition::FailRun,
        // Every run would meet it.
        (Kind::SelfCheck, Failed::Cycle) => Disposition::Pause,
    }
}

#[cfg(test)]
mod tests {
    use compactor_core::ports::PortError;

    use std::io::ErrorKind;

    use super::*;

    const MAX: u32 = 5;

    fn port(resource: Resource, fault: Fault) -> Error {
        let error = PortError::new("get", "key", fault, "by a test");
        SnapshotError::Port { resource, error }.into()
    }

    fn full() -> Error {
        StoreError::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).into()
    }

    /// After the first receive, the first half of them, the last.
    fn fates(failed: Failed, error: &Error) -> [Fate; 4] {
        [1, 2, 3, 5].map(|receives| decide(failed, error, receives, MAX))
    }

    #[test]
    fn fault_of_the_machine_buries_no_message() {
        let kept = [Fate::GiveBack, Fate::GiveBack, Fate::Keep, Fate::Keep];
        for failed in [Failed::Cycle, Failed::Delta] {
            assert_eq!(fates(failed, &port(Resource::Upload, Fault::Full)), kept);
            assert_eq!(fates(failed, &full()), kept);
        }
        assert_eq!(decide(Failed::Cycle, &full(), 1, 1), Fate::Keep);
        for kind in [ErrorKind::PermissionDenied, ErrorKind::NotFound] {
            let error = StoreError::from(std::io::Error::from(kind)).into();
            assert_eq!(fates(Failed::Delta, &error), kept, "{kind}");
        }
    }

    #[test]
    fn table_of_faults_decides_every_pair() {
        use Fate::{DeadLetter, GiveBack, Keep};
        for (resource, fault) in pairs() {
            let failed = match resource {
                Resource::Delta | Resource::Deltas | Resource::ForeignDelta => Failed::Delta,
                _ => Failed::Cycle,
            };
            let error = port(resource, fault);
            let expected = match of_fault(resource, fault).0 {
                Disposition::Keep | Disposition::Leave => [GiveBack, GiveBack, Keep, Keep],
                Disposition::Pause | Disposition::Stop => [Keep; 4],
                Disposition::FailRun => [GiveBack, GiveBack, GiveBack, DeadLetter],
                Disposition::DeadLetter => [DeadLetter; 4],
            };
            assert_eq!(fates(failed, &error), expected, "{resource:?} {fault:?}");
            let stops = of_fault(resource, fault).0 == Disposition::Stop;
            assert_eq!(must_stop(&error), stops, "{resource:?} {fault:?}");
        }
    }

    fn pairs() -> impl Iterator<Item = (Resource, Fault)> {
        let resources = Resource::ALL.into_iter();
        resources.flat_map(|resource| Fault::ALL.map(|fault| (resource, fault)))
    }

    #[test]
    fn damaged_snapshot_pauses_and_damaged_delta_is_buried() {
        let damaged = || {
            Error::from(StoreError::Damaged {
                path: "chroma.sqlite3".into(),
                detail: "by a test".to_owned(),
            })
        };
        assert_eq!(fates(Failed::Cycle, &damaged()), [Fate::Keep; 4]);
        assert_eq!(fates(Failed::Delta, &damaged()), [Fate::DeadLetter; 4]);
        let wrong = Error::from(SnapshotError::ObjectName {
            key: "../key".to_owned(),
        });
        assert_eq!(decide(Failed::Delta, &wrong, 1, MAX), Fate::DeadLetter);
        assert_eq!(decide(Failed::Cycle, &wrong, 1, MAX), Fate::Keep);
    }

    #[test]
    fn unrecorded_failure_is_buried_only_after_the_last_receive() {
        let buried = Fate::DeadLetter;
        assert_eq!(buried.unrecorded(MAX - 1, MAX), Fate::GiveBack);
        assert_eq!(buried.unrecorded(MAX, MAX), Fate::DeadLetter);
        assert_eq!(Fate::Keep.unrecorded(1, MAX), Fate::Keep);
    }

    #[test]
    fn fault_that_may_be_the_run_s_own_is_buried_after_the_last_receive() {
        let buried = [
            Fate::GiveBack,
            Fate::GiveBack,
            Fate::GiveBack,
            Fate::DeadLetter,
        ];
        let missing = Error::DeltaMissing {
            prefix: "words/delta/a/".to_owned(),
        };
        assert_eq!(fates(Failed::Delta, &missing), buried);
        let denied = port(Resource::Delta, Fault::Denied);
        assert_eq!(fates(Failed::Delta, &denied), buried);
        let elsewhere = port(Resource::ForeignDelta, Fault::Transient);
        assert_eq!(fates(Failed::Delta, &elsewhere), buried);
    }
}
