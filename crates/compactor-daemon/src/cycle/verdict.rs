//! What becomes of a message whose run failed. A plain decision; `batch` carries it out.

use compactor_core::Class;
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
    /// It stays in our hands: no run is to blame, and half of the receives are used up. What is left
    /// of them is for those that come after us.
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
    if failed == Failed::Delta && is_for_good(error) {
        return Verdict::DeadLetter;
    }
    let is_nobodys = is_shortage(error) || failed == Failed::Cycle && is_outage(error);
    let (has_some_left, instead) = match is_nobodys {
        true => (has_receives_left(receives, max_receives), Verdict::Keep),
        false => (receives < max_receives, Verdict::DeadLetter),
    };
    if has_some_left {
        Verdict::GiveBack
    } else {
        instead
    }
}

/// A delta will be what it is; a store that refuses to hand it out may change its mind.
fn is_for_good(error: &RunError) -> bool {
    error.class() == Class::DeadLetter && !matches!(error, RunError::Port(_))
}

/// This machine lacks something.
fn is_shortage(error: &RunError) -> bool {
    match error {
        RunError::Store(error) => error.is_shortage(),
        RunError::Port(error) => error.fault == Fault::Full,
        _ => false,
    }
}

/// A service does not answer, or has too much to do.
fn is_outage(error: &RunError) -> bool {
    let RunError::Port(error) = error else {
        return false;
    };
    matches!(
        error.fault,
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown
    )
}

#[cfg(test)]
mod tests {
    use chroma_store::StoreError;
    use compactor_core::ports::PortError;

    use super::*;

    const MAX: u32 = 5;

    fn port(fault: Fault) -> RunError {
        RunError::Port(PortError::new("get", "key", fault, "by a test"))
    }

    fn full() -> RunError {
        StoreError::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).into()
    }

    fn missing() -> RunError {
        RunError::DeltaMissing {
            prefix: "words/delta/a/".to_owned(),
        }
    }

    /// After the first receive, the first half of them, the last.
    fn verdicts(failed: Failed, error: &RunError) -> [Verdict; 4] {
        [1, 2, 3, 5].map(|receives| decide(failed, error, receives, MAX))
    }

    #[test]
    fn what_is_nobodys_fault_buries_nothing() {
        let kept = [
            Verdict::GiveBack,
            Verdict::GiveBack,
            Verdict::Keep,
            Verdict::Keep,
        ];
        for fault in [Fault::Transient, Fault::Throttled, Fault::OutcomeUnknown] {
            assert_eq!(verdicts(Failed::Cycle, &port(fault)), kept, "{fault:?}");
        }
        for failed in [Failed::Cycle, Failed::Delta] {
            assert_eq!(verdicts(failed, &port(Fault::Full)), kept);
            assert_eq!(verdicts(failed, &full()), kept);
        }
        assert_eq!(decide(Failed::Cycle, &full(), 1, 1), Verdict::Keep);
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
        assert_eq!(verdicts(Failed::Delta, &missing()), buried);
        assert_eq!(verdicts(Failed::Delta, &port(Fault::Transient)), buried);
        assert_eq!(verdicts(Failed::Cycle, &port(Fault::Corrupt)), buried);
        let io = |kind| RunError::from(StoreError::from(std::io::Error::from(kind)));
        let long_name = io(std::io::ErrorKind::InvalidFilename);
        assert_eq!(verdicts(Failed::Delta, &long_name), buried);
    }

    #[test]
    fn what_no_repetition_mends_is_buried_at_once_unless_it_is_the_base() {
        let wrong = RunError::ObjectName {
            key: "../key".to_owned(),
        };
        assert_eq!(decide(Failed::Delta, &wrong, 1, MAX), Verdict::DeadLetter);
        assert_eq!(decide(Failed::Cycle, &wrong, 1, MAX), Verdict::GiveBack);
    }
}
