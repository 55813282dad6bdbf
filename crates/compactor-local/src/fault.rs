//! Maps errors of the file system and of SQLite to the faults of a port.

use std::io;

use compactor_core::ports::{Fault, PortError};
use rusqlite::ErrorCode;

/// The fault behind an I/O error.
pub(crate) fn of_io(error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => Fault::Missing,
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Fault::Denied,
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Fault::Full,
        Kind::IsADirectory | Kind::NotADirectory | Kind::InvalidFilename | Kind::InvalidInput => {
            Fault::Invalid
        }
        Kind::InvalidData => Fault::Corrupt,
        // The rest are I/O errors or a lack of descriptors, which may pass.
        _ => Fault::Transient,
    }
}

/// An I/O error as the error of a port call.
pub(crate) fn io_error(operation: &'static str, target: &str, error: io::Error) -> PortError {
    PortError::new(operation, target, of_io(&error), error.to_string()).with_source(error)
}

/// The fault behind an SQLite error.
pub(crate) fn of_sqlite(error: &rusqlite::Error) -> Fault {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Fault::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Fault::Denied,
            ErrorCode::CannotOpen => Fault::Missing,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Fault::Corrupt,
            ErrorCode::TooBig => Fault::Invalid,
            _ => Fault::Transient,
        },
        rusqlite::Error::ToSqlConversionFailure(_) => Fault::Invalid,
        // The rest are rows or columns that do not have the form that this code writes.
        _ => Fault::Corrupt,
    }
}

/// An SQLite error as the error of a port call.
pub(crate) fn sqlite_error(
    operation: &'static str,
    target: &str,
    error: rusqlite::Error,
) -> PortError {
    PortError::new(operation, target, of_sqlite(&error), error.to_string()).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_maps_to_its_fault() {
        for (errno, fault) in [
            (2, Fault::Missing),
            (13, Fault::Denied),
            (30, Fault::Denied),
            (28, Fault::Full),
            (122, Fault::Full),
            (36, Fault::Invalid),
            (5, Fault::Transient),
            (24, Fault::Transient),
        ] {
            assert_eq!(
                of_io(&io::Error::from_raw_os_error(errno)),
                fault,
                "errno {errno}"
            );
        }
    }
}
