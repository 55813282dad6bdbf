//! What becomes of a message whose run failed: the table of [`compactor_core::disposition`] for what
//! ports report, and the like for all other errors. A plain decision; `batch` carries it out.

use chroma_store::{Kind, StoreError};
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::Fault;

use crate::RunError;
use crate::waiting::has_receives_left;

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
pub(super) enum Verdict {
    /// Back to the queue: later, or another worker, may succeed.
    GiveBack,
    /// The daemon keeps the message: the run did not cause the failure.
    Keep,
    /// To the dead-letter queue, and the run is FAILED.
    DeadLetter,
}

impl Verdict {
    /// The same where the failure could not be recorded: whoever waits for the run looks at its
    /// record, not at dead letters.
    pub(super) fn unrecorded(self, receives: u32, max_receives: u32) -> Self {
        match self {
            Self::DeadLetter if receives < max_receives => Self::GiveBack,
            verdict => verdict,
        }
    }
}

/// Decides it, for a message that was received `receives` times of `max_receives`.
pub(super) fn decide(
    failed: Failed,
    error: &RunError,
    receives: u32,
    max_receives: u32,
) -> Verdict {
    match disposition(failed, error) {
        Disposition::DeadLetter => Verdict::DeadLetter,
        Disposition::FailRun if receives < max_receives => Verdict::GiveBack,
        Disposition::FailRun => Verdict::DeadLetter,
        Disposition::Keep | Disposition::Leave if has_receives_left(receives, max_receives) => {
            Verdict::GiveBack
        }
        // Who stops gives back what is in its hands.
        Disposition::Keep | Disposition::Leave | Disposition::Pause | Disposition::Stop => {
            Verdict::Keep
        }
    }
}

/// Whether a cycle's error must end the daemon.
pub(super) fn must_stop(error: &RunError) -> bool {
    disposition(Failed::Cycle, error) == Disposition::Stop
}

/// What is done about an error of a cycle.
pub(super) fn disposition(failed: Failed, error: &RunError) -> Disposition {
    match error {
        RunError::Port { resource, error } => of_fault(*resource, error.fault).0,
        RunError::Store(error) => of_directory(failed, error),
        RunError::Message(_)
        | RunError::Unhandled { .. }
        | RunError::DeltaBucket { .. }
        | RunError::CollectionUnknown { .. }
        | RunError::OtherQueue { .. }
        | RunError::CollectionRefused { .. }
        | RunError::DeltaPlace { .. }
        | RunError::TooManyCollections { .. }
        | RunError::RunDiffers { .. } => Disposition::DeadLetter,
        // A delta will be what it is; a published snapshot is someone's to mend.
        RunError::ObjectName { .. } | RunError::TooLarge { .. } => match failed {
            Failed::Delta => Disposition::DeadLetter,
            Failed::Cycle => Disposition::Pause,
        },
        RunError::Pointer { .. }
        | RunError::PointerText { .. }
        | RunError::PointerGone { .. }
        | RunError::PointerInUse { .. }
        | RunError::VersionMissing { .. }
        | RunError::NothingPublished { .. }
        | RunError::Shrunk { .. }
        | RunError::ManifestMissing { .. }
        | RunError::Manifest { .. }
        | RunError::SnapshotFile { .. } => Disposition::Pause,
        // The next attempt makes another version.
        RunError::UploadExists { .. }
        | RunError::UploadDiffers { .. }
        | RunError::Overtaken { .. }
        | RunError::LeaseLost { .. }
        | RunError::Stopping => Disposition::Keep,
        RunError::SwapUnknown { .. } => Disposition::Leave,
        RunError::Killed { .. } => Disposition::Stop,
        // Another worker may have more room.
        RunError::DeltaMissing { .. }
        | RunError::DeltaChanged { .. }
        | RunError::RunExists { .. }
        | RunError::DeltaRoom { .. } => Disposition::FailRun,
        // One of several deltas made it panic: they are merged one by one then.
        RunError::Task { .. } => match failed {
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
        // What is left is an odd name in an archive, or what SQLite says of an odd database.
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

    fn port(resource: Resource, fault: Fault) -> RunError {
        let error = PortError::new("get", "key", fault, "by a test");
        RunError::Port { resource, error }
    }

    fn full() -> RunError {
        StoreError::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).into()
    }

    /// After the first receive, the first half of them, the last.
    fn verdicts(failed: Failed, error: &RunError) -> [Verdict; 4] {
        [1, 2, 3, 5].map(|receives| decide(failed, error, receives, MAX))
    }

    #[test]
    fn what_is_no_run_s_fault_buries_nothing() {
        let kept = [
            Verdict::GiveBack,
            Verdict::GiveBack,
            Verdict::Keep,
            Verdict::Keep,
        ];
        for failed in [Failed::Cycle, Failed::Delta] {
            assert_eq!(verdicts(failed, &port(Resource::Upload, Fault::Full)), kept);
            assert_eq!(verdicts(failed, &full()), kept);
        }
        assert_eq!(decide(Failed::Cycle, &full(), 1, 1), Verdict::Keep);
        for kind in [ErrorKind::PermissionDenied, ErrorKind::NotFound] {
            let error = StoreError::from(std::io::Error::from(kind)).into();
            assert_eq!(verdicts(Failed::Delta, &error), kept, "{kind}");
        }
    }

    #[test]
    fn the_table_decides_about_every_pair() {
        use Verdict::{DeadLetter, GiveBack, Keep};
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
            assert_eq!(verdicts(failed, &error), expected, "{resource:?} {fault:?}");
            let stops = of_fault(resource, fault).0 == Disposition::Stop;
            assert_eq!(must_stop(&error), stops, "{resource:?} {fault:?}");
        }
    }

    fn pairs() -> impl Iterator<Item = (Resource, Fault)> {
        let resources = Resource::ALL.into_iter();
        resources.flat_map(|resource| Fault::ALL.map(|fault| (resource, fault)))
    }

    #[test]
    fn a_damaged_snapshot_pauses_and_a_damaged_delta_is_buried() {
        let damaged = || {
            RunError::from(StoreError::Damaged {
                path: "chroma.sqlite3".into(),
                detail: "by a test".to_owned(),
            })
        };
        assert_eq!(verdicts(Failed::Cycle, &damaged()), [Verdict::Keep; 4]);
        assert_eq!(
            verdicts(Failed::Delta, &damaged()),
            [Verdict::DeadLetter; 4]
        );
        let wrong = RunError::ObjectName {
            key: "../key".to_owned(),
        };
        assert_eq!(decide(Failed::Delta, &wrong, 1, MAX), Verdict::DeadLetter);
        assert_eq!(decide(Failed::Cycle, &wrong, 1, MAX), Verdict::Keep);
    }

    #[test]
    fn what_is_not_recorded_is_buried_only_in_the_end() {
        let buried = Verdict::DeadLetter;
        assert_eq!(buried.unrecorded(MAX - 1, MAX), Verdict::GiveBack);
        assert_eq!(buried.unrecorded(MAX, MAX), Verdict::DeadLetter);
        assert_eq!(Verdict::Keep.unrecorded(1, MAX), Verdict::Keep);
    }

    #[test]
    fn what_may_be_the_run_s_own_ends_with_its_receives() {
        let buried = [
            Verdict::GiveBack,
            Verdict::GiveBack,
            Verdict::GiveBack,
            Verdict::DeadLetter,
        ];
        let missing = RunError::DeltaMissing {
            prefix: "words/delta/a/".to_owned(),
        };
        assert_eq!(verdicts(Failed::Delta, &missing), buried);
        let denied = port(Resource::Delta, Fault::Denied);
        assert_eq!(verdicts(Failed::Delta, &denied), buried);
        let elsewhere = port(Resource::ForeignDelta, Fault::Transient);
        assert_eq!(verdicts(Failed::Delta, &elsewhere), buried);
    }
}
