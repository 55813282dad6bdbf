//! How this crate opens a Chroma database: which checks come first and which settings hold.
//!
//! Nothing else in the crate may call `rusqlite::Connection::open*`.

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
    /// A page cache of a fixed size: memory stays bounded whatever the snapshot's size. For the same
    /// reason SQLite writes what it needs to undo one delta to a file: that grows with the snapshot.
    const fn pragmas(self) -> &'static str {
        match self {
            Self::Reads => "PRAGMA cache_size=-4096;",
            Self::Writes => "PRAGMA cache_size=-32768;",
        }
    }
}

/// How to open a directory.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// How long SQLite waits for another process's lock.
    pub busy: Duration,
    /// Lets SQLite roll back what an interrupted writer left, instead of refusing the directory.
    /// Only for whoever changes directories in place.
    pub roll_back: bool,
    /// Nothing is on disk before the store is closed: for a copy that a crash throws away.
    pub is_scratch: bool,
}

impl OpenOptions {
    /// For a working copy, which a crash throws away.
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

/// The names that SQLite puts beside an open database.
pub(crate) const SIDE_SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// What the first 100 bytes of the database file say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileHeader {
    /// `PRAGMA journal_mode=wal` was set: Chroma's own readers then leave side files behind.
    pub(crate) wal_mode: bool,
}

pub(crate) fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_NAME)
}

/// SQLite takes a name that begins with `file:` for a URI; an absolute one never does.
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

/// Checks what can be checked without SQLite: that the file exists, is whole, and has no side file.
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

/// Says why `dir` is no Chroma directory, or cannot be looked at.
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

/// Opens the database of `dir` for reading; other processes' locks are respected.
pub(crate) fn open_read(dir: &Path) -> StoreResult<Connection> {
    let header = preflight(dir)?;
    let path = database_path(dir);
    let connection = if header.wal_mode {
        // Reading a database in WAL mode would make side files; without a -wal it is complete.
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

/// Opens the database of a delta for reading. SQLite refuses rows and values that are longer than
/// `longest_value` bytes before it takes memory for them.
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

/// Opens the database of `dir` for reading what can be read of it, whatever is wrong: nobody may be
/// writing to it, and a journal beside it is not looked at.
pub(crate) fn open_damaged(dir: &Path) -> StoreResult<Connection> {
    let path = database_path(dir);
    fs_err::symlink_metadata(&path).map_err(|error| not_chroma(dir, error))?;
    let uri = format!("file:{}?immutable=1", percent_encode(&plain_name(&path)));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)
        .map_err(StoreError::sqlite(&path, "open for reading"))?;
    // Else SQLite refuses a file that is shorter than its header says, before it reads anything.
    connection
        .execute_batch("PRAGMA writable_schema=ON")
        .map_err(StoreError::sqlite(&path, "open for reading"))?;
    configure(&connection, &path, Usage::Reads)?;
    Ok(connection)
}

/// Opens the database of `dir` for writing.
pub(crate) fn open_write(dir: &Path, options: OpenOptions) -> StoreResult<Connection> {
    let path = database_path(dir);
    match preflight(dir) {
        // Reading rolls the journal back; only then does the header tell of the whole file.
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

/// Lets SQLite settle the journal of a writer that was killed. One that was killed before it wrote
/// anything leaves an empty one: nothing to roll back, but only a transaction removes it.
fn roll_back(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(plain_name(path), flags)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    connection.execute_batch(&format!("PRAGMA user_version = {version};"))
}

/// Lets SQLite keep its temporary files in `folder`: what undoes a large statement, and rows that it
/// sorts. Without this they go to the first of `SQLITE_TMPDIR`, `TMPDIR`, `/var/tmp`, `/tmp` and the
/// working directory that can be written to, and where none can, large merges fail.
///
/// It holds for the whole process, and the first call that succeeds counts. SQLite reads the name
/// without a lock: the call has to be made before other threads use a database. Returns whether that
/// is the place now. A folder that cannot be written to, or whose path is not UTF-8, is not.
pub fn keep_temporary_files_in(folder: &Path) -> bool {
    static PLACE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = plain_name(folder);
    if place.is_none() {
        // https://sqlite.org/pragma.html#pragma_temp_store_directory: deprecated, and all that can be
        // said without `unsafe`.
        let tell = |name| in_memory()?.pragma_update(None, "temp_store_directory", name);
        let is_told = folder.to_str().is_some_and(|name| tell(name).is_ok());
        *place = is_told.then(|| folder.clone());
    }
    *place == Some(folder)
}

/// Lets SQLite write a temporary file.
///
/// # Errors
/// It has no place for it, or no space there.
pub fn try_temporary_files() -> StoreResult<()> {
    // A database without a name is a temporary file, and one page of cache does not hold it.
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

/// Opens a database of nothing.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("PRAGMA foreign_keys=OFF")?;
    Ok(connection)
}

/// Opens a database only to ask for its lock. Nothing is read or configured.
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
    // A foreign database must not run code of its own: no trusted functions in its schema, no
    // attaching. `foreign_keys` stays off as in chromadb, whose cascades never fire.
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
