//! The one error type of all ports: what was attempted, on what, and which kind of fault it met.

use std::io::{self, ErrorKind};
use std::path::Path;

use thiserror::Error;

/// The result of a port call.
pub type PortResult<T> = Result<T, PortError>;

/// The kind of fault that a port met, coarse enough to decide what to do next:
/// [`disposition`](crate::disposition) has that decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The same call may succeed later: a connection was reset, a read timed out, a database was busy.
    Transient,
    /// The service refused the call because it receives too many.
    Throttled,
    /// A write was sent and no definite answer came: the service may have applied it, or may yet apply
    /// it.
    OutcomeUnknown,
    /// The caller lacks the right, or its credentials are missing or not accepted.
    Denied,
    /// The bucket, table, queue or directory itself does not exist. A missing key is no fault.
    Missing,
    /// The disk or the quota has no space left.
    Full,
    /// The object is larger than the limit that the caller gave.
    TooLarge,
    /// Stored content does not have the form that it must have.
    Corrupt,
    /// The request is wrong, or the service takes it for wrong: a bad key, another region's bucket, a
    /// table with other keys.
    Invalid,
    /// The service lacks a feature that the call needs, such as conditional writes.
    Unsupported,
}

impl Fault {
    /// Every fault, in the order in which docs/reliability.md lists them.
    pub const ALL: [Self; 10] = [
        Self::Transient,
        Self::Throttled,
        Self::OutcomeUnknown,
        Self::Denied,
        Self::Missing,
        Self::Full,
        Self::TooLarge,
        Self::Corrupt,
        Self::Invalid,
        Self::Unsupported,
    ];
}

/// A port call that failed.
#[derive(Debug, Error)]
#[error("{operation} {target}: {reason}")]
pub struct PortError {
    /// The attempted operation, for example `put object`.
    pub operation: &'static str,
    /// The target of the operation: a key, a queue's URL, a receipt, a path.
    pub target: String,
    /// The kind of fault, by which callers decide what to do.
    pub fault: Fault,
    /// The cause in words: lower case, no full stop, no secrets.
    pub reason: String,
    /// Whether a file of this machine failed, so that the error says nothing about the service behind
    /// the port.
    pub is_of_machine: bool,
    /// The underlying error, if there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error without an underlying source.
    pub fn new(
        operation: &'static str,
        target: impl Into<String>,
        fault: Fault,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            target: target.into(),
            fault,
            reason: reason.into(),
            is_of_machine: false,
            source: None,
        }
    }

    /// An error of a local file to which a port downloads, or from which it uploads. A name that the
    /// system refuses is the caller's fault; everything else is the machine's.
    pub fn of_file(operation: &'static str, path: &Path, error: io::Error) -> Self {
        let fault = match error.kind() {
            ErrorKind::AlreadyExists
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput => Fault::Invalid,
            ErrorKind::NotFound => Fault::Missing,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Fault::Denied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Fault::Full
            }
            // I/O errors and a lack of descriptors have no kind of their own, and may pass.
            _ => Fault::Transient,
        };
        let target = path.display().to_string();
        Self {
            is_of_machine: fault != Fault::Invalid,
            ..Self::new(operation, target, fault, error.to_string()).with_source(error)
        }
    }

    /// The same error with `source` as the underlying one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The stable code of this error, `CC-PORT-...`.
    pub fn code(&self) -> &'static str {
        match self.fault {
            Fault::Transient => "CC-PORT-TRANSIENT",
            Fault::Throttled => "CC-PORT-THROTTLED",
            Fault::OutcomeUnknown => "CC-PORT-UNKNOWN",
            Fault::Denied => "CC-PORT-DENIED",
            Fault::Missing => "CC-PORT-MISSING",
            Fault::Full => "CC-PORT-FULL",
            Fault::TooLarge => "CC-PORT-TOO-LARGE",
            Fault::Corrupt => "CC-PORT-CORRUPT",
            Fault::Invalid => "CC-PORT-INVALID",
            Fault::Unsupported => "CC-PORT-UNSUPPORTED",
        }
    }

    /// Whether the same call may succeed soon, without a change by an operator.
    /// [`disposition`](crate::disposition) decides what becomes of runs.
    pub fn may_pass(&self) -> bool {
        match self.fault {
            Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => true,
            Fault::Full
            | Fault::TooLarge
            | Fault::Corrupt
            | Fault::Denied
            | Fault::Missing
            | Fault::Unsupported
            | Fault::Invalid => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_file_name_is_the_callers_fault_and_disk_trouble_the_machines() {
        for (errno, fault, is_of_machine) in [
            (2, Fault::Missing, true),
            (13, Fault::Denied, true),
            (30, Fault::Denied, true),
            (28, Fault::Full, true),
            (122, Fault::Full, true),
            (5, Fault::Transient, true),
            (24, Fault::Transient, true),
            (17, Fault::Invalid, false),
            (20, Fault::Invalid, false),
            (21, Fault::Invalid, false),
            (36, Fault::Invalid, false),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            let error = PortError::of_file("download object", Path::new("a"), error);
            assert_eq!(error.fault, fault, "errno {errno}");
            assert_eq!(error.is_of_machine, is_of_machine, "errno {errno}");
        }
    }
}
