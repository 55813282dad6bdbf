//! The code, kind and next step of each error.

use std::io::{self, ErrorKind};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_GETTEMPPATH;

use super::{Kind, StoreError};
use crate::{DATABASE_NAME, Problem, Remedy};

impl StoreError {
    /// The stable code of this error, such as `CS-LOCKED`. `docs/errors.md` lists all.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotChroma { .. } => "CS-NOT-CHROMA",
            Self::HotJournal { .. } => "CS-HOT-JOURNAL",
            Self::Locked { .. } => "CS-LOCKED",
            Self::InUse { .. } => "CS-IN-USE",
            Self::StillOpen { .. } => "CS-STILL-OPEN",
            Self::Truncated { .. } => "CS-TRUNCATED",
            Self::Damaged { .. } => "CS-DAMAGED",
            Self::IndexFile { .. } => "CS-INDEX-FILE",
            Self::UnknownSchema { .. } => "CS-UNKNOWN-SCHEMA",
            Self::CollectionMissing { .. } => "CS-COLLECTION-MISSING",
            Self::CollectionAmbiguous { .. } => "CS-COLLECTION-AMBIGUOUS",
            Self::DimensionMismatch { .. } => "CS-DIMENSION",
            Self::VectorLength { .. } => "CS-VECTOR-LENGTH",
            Self::NotFinite { .. } => "CS-NOT-FINITE",
            Self::MissingVector { .. } => "CS-MISSING-VECTOR",
            Self::QueueRow { .. } => "CS-QUEUE-ROW",
            Self::ArraysUnsupported { .. } => "CS-ARRAYS",
            Self::Inconsistent { .. } => "CS-INCONSISTENT",
            Self::BadConfiguration { .. } => "CS-CONFIGURATION",
            Self::NotConserved { .. } => "CS-NOT-CONSERVED",
            Self::Engine { .. } => "CS-ENGINE",
            Self::Query { .. } => "CS-QUERY",
            Self::NoSpace { .. } => "CS-NO-SPACE",
            Self::Changed { .. } => "CS-CHANGED",
            Self::AlreadyExists { .. } => "CS-EXISTS",
            Self::NotRegular { .. } => "CS-NOT-REGULAR",
            Self::FileName { .. } => "CS-FILE-NAME",
            Self::ArchiveEntry { .. } => "CS-ARCHIVE-ENTRY",
            Self::ArchiveDamaged { .. } => "CS-ARCHIVE-DAMAGED",
            Self::ArchiveLimit { .. } => "CS-ARCHIVE-LIMIT",
            Self::RecordTooLarge { .. } => "CS-RECORD-LIMIT",
            Self::ConfigurationTooLarge { .. } => "CS-CONFIGURATION-LIMIT",
            Self::Sqlite { .. } => "CS-SQLITE",
            Self::Io(_) => "CS-IO",
        }
    }

    /// Which kind of error this is: it decides whether another try can help.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. } | Self::InUse { .. } | Self::Changed { .. } => Kind::Busy,
            Self::Sqlite { .. }
            | Self::Io(_)
            | Self::AlreadyExists { .. }
            | Self::NoSpace { .. } => Kind::Environment,
            Self::StillOpen { .. } | Self::NotConserved { .. } | Self::Engine { .. } => {
                Kind::SelfCheck
            }
            Self::NotChroma { .. }
            | Self::HotJournal { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::IndexFile { .. }
            | Self::UnknownSchema { .. }
            | Self::CollectionMissing { .. }
            | Self::CollectionAmbiguous { .. }
            | Self::DimensionMismatch { .. }
            | Self::VectorLength { .. }
            | Self::NotFinite { .. }
            | Self::MissingVector { .. }
            | Self::QueueRow { .. }
            | Self::ArraysUnsupported { .. }
            | Self::Inconsistent { .. }
            | Self::BadConfiguration { .. }
            | Self::Query { .. }
            | Self::NotRegular { .. }
            | Self::FileName { .. }
            | Self::ArchiveEntry { .. }
            | Self::ArchiveDamaged { .. }
            | Self::ArchiveLimit { .. }
            | Self::RecordTooLarge { .. }
            | Self::ConfigurationTooLarge { .. } => Kind::BadInput,
        }
    }

    /// Whether the machine is at fault and not the directory: it lacks space, descriptors or
    /// memory, a disk cannot be written, or a folder is gone.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Io(error) => is_of_machine(error),
            Self::NoSpace { .. } => true,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::OutOfMemory
                )
            ),
            Self::NotChroma { .. }
            | Self::HotJournal { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::IndexFile { .. }
            | Self::UnknownSchema { .. }
            | Self::CollectionMissing { .. }
            | Self::CollectionAmbiguous { .. }
            | Self::DimensionMismatch { .. }
            | Self::VectorLength { .. }
            | Self::NotFinite { .. }
            | Self::MissingVector { .. }
            | Self::QueueRow { .. }
            | Self::ArraysUnsupported { .. }
            | Self::Inconsistent { .. }
            | Self::BadConfiguration { .. }
            | Self::Query { .. }
            | Self::NotRegular { .. }
            | Self::FileName { .. }
            | Self::ArchiveEntry { .. }
            | Self::ArchiveDamaged { .. }
            | Self::ArchiveLimit { .. }
            | Self::RecordTooLarge { .. }
            | Self::ConfigurationTooLarge { .. }
            | Self::Locked { .. }
            | Self::InUse { .. }
            | Self::Changed { .. }
            | Self::AlreadyExists { .. }
            | Self::StillOpen { .. }
            | Self::NotConserved { .. }
            | Self::Engine { .. } => false,
        }
    }

    /// Whether a disk or a quota is full.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io(error) => matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            ),
            Self::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            _ => false,
        }
    }

    /// Whether index files are damaged. [`Store::rebuild`](crate::Store::rebuild) may mend them.
    pub fn is_index_damage(&self) -> bool {
        let is_cut = matches!(self, Self::Truncated { path, .. } if !path.ends_with(DATABASE_NAME));
        is_cut || matches!(self, Self::IndexFile { .. })
    }

    /// Whether only the full text is damaged.
    /// [`Store::rebuild_full_text`](crate::Store::rebuild_full_text) mends it.
    pub fn is_full_text_damage(&self) -> bool {
        let of_text = |problem: &Problem| problem.remedy == Some(Remedy::FullText);
        matches!(self, Self::Inconsistent { problems, .. } if problems.iter().all(of_text))
    }

    /// What the user can do next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotChroma { .. } => {
                "name the folder that chromadb.PersistentClient(path=...) was given"
            }
            Self::HotJournal { .. } => {
                "close the client that wrote it (chromadb >= 1.5.2: client.close()), or open it once with that chromadb so that SQLite rolls the journal back, then copy it again; after an interrupted `store flush` or `store rebuild`, run that again"
            }
            Self::Locked { .. } => "stop the named process or wait for it to finish its write",
            Self::InUse { .. } => {
                "close the client in that process first: it would go on with the files that it has read, or write more"
            }
            Self::StillOpen { .. } => "this is a defect: please report it with the named file",
            Self::IndexFile { .. } => {
                "if its vectors can still be read, there or in a log that is whole, `chroma-compactor store rebuild DIR` builds the files again; else copy the directory again from its source, after the client that wrote it has been closed, or save what can still be read: `chroma-compactor store repair DIR --salvage NEW`"
            }
            Self::Truncated { path, .. } if !path.ends_with(DATABASE_NAME) => {
                "if its vectors can still be read, there or in a log that is whole, `chroma-compactor store rebuild DIR` builds the files again; else copy the directory again from its source, after the client that wrote it has been closed, or save what can still be read: `chroma-compactor store repair DIR --salvage NEW`"
            }
            Self::Truncated { .. } | Self::Damaged { .. } => {
                "copy the directory again from its source, after the client that wrote it has been closed; `chroma-compactor store repair DIR --salvage NEW` saves what can still be read"
            }
            Self::UnknownSchema { .. } => {
                "supported are directories of chromadb 0.5.6 to 0.6.3 and 1.0 to 1.5; open older ones once with chromadb 0.6.3"
            }
            Self::CollectionMissing { .. } => {
                "pass the name of a collection that is there, or create it in the delta under the snapshot's name"
            }
            Self::CollectionAmbiguous { .. } => {
                "say which with --database and --tenant; a delta must have tenant, database and name of the snapshot's collection"
            }
            Self::DimensionMismatch { .. } => {
                "embed the delta with the model that the snapshot was made with"
            }
            Self::VectorLength { .. } | Self::NotFinite { .. } | Self::MissingVector { .. } => {
                "fix the record at its producer and send the delta again; of a directory of your own, `chroma-compactor store repair DIR --salvage NEW` saves the other records"
            }
            Self::QueueRow { .. } => {
                "JSON with NaN or Infinity and foreign operation codes are refused; fix the record at its producer; of a directory of your own, `chroma-compactor store repair DIR --salvage NEW` saves the other records"
            }
            Self::ArraysUnsupported { .. } => {
                "open the snapshot once with chromadb >= 1.5 to raise its schema level, or leave array metadata out"
            }
            Self::Inconsistent { .. } => {
                "`chroma-compactor store repair DIR` names all findings and what would mend them; a producer that copied an open directory makes such"
            }
            Self::BadConfiguration { .. } => {
                "open it with the chromadb that wrote it and check the collection's configuration; `chroma-compactor store repair DIR --salvage NEW` saves what can still be read"
            }
            Self::NotConserved { .. } => "nothing was published; please report it with the delta",
            Self::Engine { .. } => "nothing was changed; use `--engine native`",
            Self::Query { .. } => {
                "`store info` shows the dimension; ids are compared letter by letter"
            }
            Self::NoSpace { .. } => "make room there, or copy the directory to a larger disk",
            Self::Changed { .. } => "close the client that writes to it, then try again",
            Self::AlreadyExists { .. } => "choose a new path, or remove or rename what is there",
            Self::FileName { .. } => {
                "Chroma makes no such file: rename it, or move it out of the directory"
            }
            Self::NotRegular { .. } => "replace links and special files by plain files",
            Self::ArchiveEntry { .. } => "make the archive of plain files with relative names",
            Self::ArchiveDamaged { .. } => "make and upload the archive again",
            Self::ArchiveLimit { .. } => "split the delta, or raise the limit in the configuration",
            Self::ConfigurationTooLarge { .. } => {
                "make the collection without what does not belong into its configuration and metadata"
            }
            Self::RecordTooLarge { .. } => {
                "send the document in parts, or raise limits.value in the configuration"
            }
            Self::Sqlite { source, .. } if lacks_temporary_folder(source) => {
                "no folder for SQLite's temporary files can be written to: let SQLITE_TMPDIR name one"
            }
            Self::Sqlite { .. } | Self::Io(_) => {
                "check free space, permissions and open-file limits of the named path"
            }
        }
    }
}

fn lacks_temporary_folder(error: &rusqlite::Error) -> bool {
    let failure = error.sqlite_error();
    failure.is_some_and(|failure| failure.extended_code == SQLITE_IOERR_GETTEMPPATH)
}

/// Whether an error is the machine's: every kind but those that describe a path or content. A lack
/// of descriptors and disk faults have no kind of their own.
fn is_of_machine(error: &io::Error) -> bool {
    use ErrorKind as Of;
    !matches!(
        error.kind(),
        Of::AlreadyExists
            | Of::NotADirectory
            | Of::IsADirectory
            | Of::DirectoryNotEmpty
            | Of::InvalidFilename
            | Of::InvalidInput
            | Of::InvalidData
            | Of::UnexpectedEof
            | Of::TooManyLinks
            | Of::CrossesDevices
            | Of::Unsupported
            // The system does not return it.
            | Of::Other
    )
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn machine_fault_is_distinguished_from_a_wrong_directory() {
        let io = |number: Errno| {
            let error = io::Error::from_raw_os_error(number.raw_os_error());
            // `fs_err` keeps the kind and drops the number.
            StoreError::from(io::Error::new(error.kind(), "failed to open file `a`"))
        };
        for number in [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::ROFS,
            Errno::MFILE,
            Errno::NFILE,
            Errno::IO,
            Errno::NOMEM,
            Errno::NOENT,
            Errno::ACCESS,
        ] {
            assert!(io(number).is_of_machine(), "{number:?}");
        }
        for number in [
            Errno::NAMETOOLONG,
            Errno::EXIST,
            Errno::NOTDIR,
            Errno::ISDIR,
        ] {
            assert!(!io(number).is_of_machine(), "{number:?}");
        }
    }
}
