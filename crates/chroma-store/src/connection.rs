//! Opens Chroma databases: the checks that come first, and the settings of every connection.
//!
//! No other module of the crate may call `rusqlite::Connection::open*`.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::locks::BUSY_WAIT;
use crate::{DATABASE_NAME, StoreError, StoreResult};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    Reads,
    Writes,
}

impl Usage {
    /// The page cache has a fixed size, so memory stays bounded for snapshots of any size. SQLite
    /// writes its undo log of a delta to a file for the same reason.
    const fn pragmas(self) -> &'static str {
        match self {
            Self::Reads => "PRAGMA cache_size=-4096;",
            Self::Writes => "PRAGMA cache_size=-32768;",
        }
    }
}

/// How to open a directory for writing.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// How long SQLite waits for another process's lock before it gives up.
    pub busy: Duration,
    /// Lets SQLite roll back the transaction of an interrupted writer; without this,
    /// [`StoreError::HotJournal`] refuses the directory. Only for callers that change directories
    /// in place.
    pub roll_back: bool,
    /// SQLite does not sync to disk before the store is closed. Only for a copy that the caller
    /// discards after a crash.
    pub is_scratch: bool,
}

impl OpenOptions {
    /// The options for a working copy, which the caller discards after a crash.
    pub fn scratch() -> Self {
        Self {
            is_scratch: true,
            ..Self::default()
        }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy: BUSY_WAIT,
            roll_back: false,
            is_scratch: false,
        }
    }
}

const HEADER_LEN: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Suffixes of the files that SQLite makes beside an open database.
pub(crate) const SIDE_SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// What the first 100 bytes of the database file say
/// (<https://sqlite.org/fileformat2.html#the_database_header>).
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileHeader {
    /// A client ran `PRAGMA journal_mode=wal`: readers then leave side files behind.
    pub(crate) wal_mode: bool,
}

pub(crate) fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_NAME)
}

/// An absolute path, because SQLite takes a name that begins with `file:` for a URI.
fn plain_name(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The side files that exist beside the database of `dir`.
pub(crate) fn side_files(dir: &Path) -> Vec<PathBuf> {
    SIDE_SUFFIXES
        .iter()
        .map(|suffix| dir.join(format!("{DATABASE_NAME}{suffix}")))
        .filter(|path| path.symlink_metadata().is_ok())
        .collect()
}

/// Checks without SQLite that the database of `dir` exists, is whole, and has no side file.
///
/// # Errors
/// `NotChroma`, `NotRegular`, `HotJournal`, `Truncated` or `Damaged`.
pub(crate) fn preflight(dir: &Path) -> StoreResult<FileHeader> {
    let path = database_path(dir);
    match fs_err::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(StoreError::NotRegular { path }),
        Err(error) => return Err(not_chroma(dir, error)),
    }
    if let Some(path) = side_files(dir).into_iter().next() {
        return Err(StoreError::HotJournal { path });
    }
    read_header(&path)
}

/// Says why `dir` is not a Chroma directory, or why this process cannot look at it.
pub(crate) fn not_chroma(dir: &Path, error: std::io::Error) -> StoreError {
    let detail = match fs_err::metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => "there is no such folder",
        Err(error) => return error.into(),
        Ok(meta) if !meta.is_dir() => "it is a file; name the folder that holds it",
        Ok(_) if error.kind() == ErrorKind::NotFound => "it has no chroma.sqlite3",
        Ok(_) => return error.into(),
    };
    StoreError::NotChroma {
        path: dir.to_path_buf(),
        detail,
    }
}

fn read_header(path: &Path) -> StoreResult<FileHeader> {
    let mut file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    let mut header = [0_u8; HEADER_LEN];
    if size < HEADER_LEN as u64 {
        let detail = format!("{size} bytes, a database has at least {HEADER_LEN}");
        return Err(StoreError::Truncated {
            path: path.to_path_buf(),
            detail,
        });
    }
    file.read_exact(&mut header)?;
    if &header[..16] != MAGIC {
        let detail = "the file does not start as a SQLite database does".to_owned();
        return Err(StoreError::Damaged {
            path: path.to_path_buf(),
            detail,
        });
    }
    // https://sqlite.org/fileformat2.html#the_database_header
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let be32 = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let page_count_is_valid = be32(24) == be32(92);
    let expected = page_size * u64::from(be32(28));
    if page_count_is_valid && size < expected {
        let detail = format!("{size} bytes, its header says {expected}");
        return Err(StoreError::Truncated {
            path: path.to_path_buf(),
            detail,
        });
    }
    Ok(FileHeader {
        wal_mode: header[18] == 2 || header[19] == 2,
    })
}

/// Opens the database of `dir` for reading, and respects the locks of other processes.
///
/// # Errors
/// As for [`preflight`]; SQLite cannot open the file.
pub(crate) fn open_read(dir: &Path) -> StoreResult<Connection> {
    let header = preflight(dir)?;
    let path = database_path(dir);
    let connection = if header.wal_mode {
        // Reading a database in WAL mode would make side files. A database without a `-wal` file is
        // complete.
        let uri = format!("file:{}?immutable=1", percent_encode(&plain_name(&path)));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri, flags)
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(plain_name(&path), flags)
    }
    .map_err(StoreError::sqlite(&path, "open for reading"))?;
    configure(&connection, &path, Usage::Reads)?;
    Ok(connection)
}

/// Opens the database of a delta for reading. SQLite refuses rows and values of more than
/// `longest_value` bytes before it allocates memory for them.
///
/// # Errors
/// As for [`open_read`].
pub(crate) fn open_delta(dir: &Path, longest_value: Option<u32>) -> StoreResult<Connection> {
    let connection = open_read(dir)?;
    if let Some(longest) = longest_value {
        let longest = i32::try_from(longest).unwrap_or(i32::MAX);
        connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)
            .map_err(StoreError::sqlite(
                &database_path(dir),
                "configure the connection",
            ))?;
    }
    Ok(connection)
}

/// Opens a damaged database for reading. It takes no lock and ignores a journal, so no process may
/// be writing to it.
///
/// # Errors
/// `NotChroma`; SQLite cannot open the file.
pub(crate) fn open_damaged(dir: &Path) -> StoreResult<Connection> {
    let path = database_path(dir);
    fs_err::symlink_metadata(&path).map_err(|error| not_chroma(dir, error))?;
    let uri = format!("file:{}?immutable=1", percent_encode(&plain_name(&path)));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)
        .map_err(StoreError::sqlite(&path, "open for reading"))?;
    // Without this, SQLite refuses a file that is shorter than its header says.
    connection
        .execute_batch("PRAGMA writable_schema=ON")
        .map_err(StoreError::sqlite(&path, "open for reading"))?;
    configure(&connection, &path, Usage::Reads)?;
    Ok(connection)
}

/// Opens the database of `dir` for writing.
///
/// # Errors
/// As for [`preflight`]; SQLite cannot open the file or roll it back.
pub(crate) fn open_write(dir: &Path, options: OpenOptions) -> StoreResult<Connection> {
    let path = database_path(dir);
    match preflight(dir) {
        // Reading rolls the journal back. Only then does the header describe the whole file.
        Err(StoreError::HotJournal { .. }) if options.roll_back => {
            roll_back(&path).map_err(StoreError::sqlite(&path, "roll back"))?;
            preflight(dir)?;
        }
        checked => drop(checked?),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(plain_name(&path), flags)
        .map_err(StoreError::sqlite(&path, "open for writing"))?;
    configure(&connection, &path, Usage::Writes)?;
    if options.is_scratch {
        connection
            .execute_batch("PRAGMA synchronous=OFF")
            .map_err(StoreError::sqlite(&path, "configure the connection"))?;
    }
    connection
        .busy_timeout(options.busy)
        .map_err(StoreError::sqlite(&path, "set the busy timeout"))?;
    Ok(connection)
}

/// Lets SQLite roll back the transaction of a killed writer. A writer that is killed before it
/// writes leaves an empty journal, and only a transaction removes that.
fn roll_back(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(plain_name(path), flags)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    connection.execute_batch(&format!("PRAGMA user_version = {version};"))
}

/// Lets SQLite keep its temporary files in `folder`: undo logs of large statements, and rows that
/// it sorts. Without this, SQLite takes the first writable folder of `SQLITE_TMPDIR`, `TMPDIR`,
/// `/var/tmp`, `/tmp` and the working directory. Where none is writable, large merges fail.
///
/// The setting holds for the whole process, and the first call that succeeds wins. SQLite reads it
/// without a lock, so call this before other threads use a database. Returns whether SQLite uses
/// `folder` now; it does not if the folder is not writable or its path is not UTF-8.
pub fn keep_temporary_files_in(folder: &Path) -> bool {
    static PLACE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = plain_name(folder);
    if place.is_none() {
        // https://sqlite.org/pragma.html#pragma_temp_store_directory: deprecated, and the only way
        // without `unsafe`.
        let tell = |name| in_memory()?.pragma_update(None, "temp_store_directory", name);
        let is_told = folder.to_str().is_some_and(|name| tell(name).is_ok());
        *place = is_told.then(|| folder.clone());
    }
    *place == Some(folder)
}

/// Lets SQLite write a temporary file, to see whether it can.
///
/// # Errors
/// SQLite finds no writable folder, or the disk is full.
pub fn try_temporary_files() -> StoreResult<()> {
    // A database without a name is a temporary file, and a cache of one page does not hold it.
    Connection::open("")
        .and_then(|connection| {
            connection.execute_batch(
                "PRAGMA cache_size=1; CREATE TABLE probe (content);
                 INSERT INTO probe VALUES (zeroblob(1000000));",
            )
        })
        .map_err(|source| StoreError::Sqlite {
            path: PathBuf::from("SQLite's temporary files"),
            operation: "writing",
            source,
        })
}

/// Opens an empty database in memory.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("PRAGMA foreign_keys=OFF")?;
    Ok(connection)
}

/// Opens a database only to test its lock; reads and configures nothing.
pub(crate) fn open_probe(path: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(plain_name(path), flags)
        .map_err(StoreError::sqlite(path, "open for the lock test"))
}

/// Creates an empty database in the folder `dir` with Chroma's page size and journal mode.
pub(crate) fn create_new(dir: &Path) -> StoreResult<Connection> {
    let path = database_path(dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(plain_name(&path), flags)
        .map_err(StoreError::sqlite(&path, "create"))?;
    configure(&connection, &path, Usage::Writes)?;
    Ok(connection)
}

fn configure(connection: &Connection, path: &Path, usage: Usage) -> StoreResult<()> {
    connection
        .busy_timeout(BUSY_WAIT)
        .map_err(StoreError::sqlite(path, "set the busy timeout"))?;
    // A foreign database must not run code of its own, so its schema may call no trusted function
    // and attach nothing. `foreign_keys` stays off as in chromadb, whose cascades never fire.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous=EXTRA; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;
             PRAGMA foreign_keys=OFF; {}",
            usage.pragmas()
        ))
        .and_then(|()| connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0))
        .map_err(StoreError::sqlite(path, "configure the connection"))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn percent_encode(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                out.push(char::from(*byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}
