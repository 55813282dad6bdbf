//! The one error type of all ports: what was attempted, on what, and what kind of fault it was.

use std::io::{self, ErrorKind};
use std::path::Path;

use thiserror::Error;

/// Result of a port call.
pub type PortResult<T> = Result<T, PortError>;

/// What kind of fault a port met, coarse enough to decide what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It may work if tried again: connection reset, timeout of a read, busy database.
    Transient,
    /// The other side asked for less.
    Throttled,
    /// A write was sent and no answer came: it may or may not have been applied.
    OutcomeUnknown,
    /// Not permitted.
    Denied,
    /// The bucket, table, queue or directory itself does not exist.
    Missing,
    /// No space is left.
    Full,
    /// What was asked for is larger than the caller's limit.
    TooLarge,
    /// Stored content is not what it must be.
    Corrupt,
    /// The request itself is wrong, or the other side takes it for wrong: a bad key, another region's
    /// bucket, a table with other keys.
    Invalid,
    /// The other side does not have what the call needs, as a conditional write.
    Unsupported,
}

impl Fault {
    /// All of them.
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
    /// What was attempted, for example `put object`.
    pub operation: &'static str,
    /// On what: a key, a receipt, a path.
    pub target: String,
    /// The kind of fault.
    pub fault: Fault,
    /// The cause in words, lower case, no full stop.
    pub reason: String,
    /// It is a file of this machine that failed, and the port says nothing of its own.
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

    /// An error of a file to which a port downloads, or from which it uploads. What the system does
    /// not like about its name is the caller's; the rest is the machine's.
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
            // Trouble of the disk and a lack of descriptors have no kind, and may pass.
            _ => Fault::Transient,
        };
        let target = path.display().to_string();
        Self {
            is_of_machine: fault != Fault::Invalid,
            ..Self::new(operation, target, fault, error.to_string()).with_source(error)
        }
    }

    /// Attaches the underlying error.
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

    /// Whether the same call may succeed soon. What becomes of runs is not said here but in
    /// [`disposition`](crate::disposition).
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
    fn the_name_of_a_file_is_the_caller_s_and_its_disk_is_the_machine_s() {
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
