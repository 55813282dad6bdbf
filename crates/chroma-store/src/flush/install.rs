//! Installs new index files in the place of the old ones.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, params};
use uuid::Uuid;

use crate::collection::write_progress;
use crate::database::Database;
use crate::index::{self, MemoryIndex, VectorIndex};
use crate::{Collection, StoreResult};

/// Writes `index` into a new folder and names the folder in the database, in the caller's
/// transaction. `seq` is the last log row that the index contains.
///
/// # Errors
/// The files cannot be written, or reading them back finds a fault.
pub(super) fn install(
    db: Database<'_>,
    collection: &Collection,
    (index, read_back): (&MemoryIndex, bool),
    seq: u64,
) -> StoreResult<()> {
    let (path, dir) = (&db.path(), db.dir);
    let old = collection.vector_segment;
    // A repeated flush gets the same name, and so replaces what an interrupted one left.
    let new = Uuid::new_v5(&old, &seq.to_be_bytes());
    for folder in unnamed_folders(db)? {
        fs_err::remove_dir_all(folder)?;
    }
    // An index without ids gets no files: chromadb takes it for one that was never written.
    if !index.elements.is_empty() {
        let folder = dir.join(new.to_string());
        meanwhile(
            || {
                index::write(&folder, index, db.level, seq)?;
                give_to_owner_of(path, &folder)
            },
            || flush(db),
        )?;
        if read_back && let Err(error) = check(&folder, collection) {
            // Only this folder has changed.
            fs_err::remove_dir_all(&folder)?;
            return Err(error);
        }
        fs_err::File::open(dir)?.sync_all()?;
    }
    rename_segment(db.connection, old, new).map_err(db.failed("name the new index files"))?;
    write_progress(db, new, seq).map_err(db.failed("write max_seq_id"))
}

/// Checks that new files can be read and agree with each other.
fn check(folder: &Path, collection: &Collection) -> StoreResult<()> {
    let written = VectorIndex::open_at(folder.to_path_buf(), collection)?;
    let findings = written.map(|index| index.check()).transpose()?;
    match findings.unwrap_or_default().into_iter().next() {
        Some((_, finding)) => Err(index::bad(folder, finding)),
        None => Ok(()),
    }
}

/// Gives the folder and its files to the owner of the database, because the service of that user
/// writes to them next.
fn give_to_owner_of(path: &Path, folder: &Path) -> StoreResult<()> {
    let owner = fs_err::metadata(path)?;
    let files = fs_err::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let paths = files.iter().map(fs_err::DirEntry::path);
    for path in paths.chain([folder.to_path_buf()]) {
        // Only root may give files away. Other users own them already.
        let _ = std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(())
}

/// Runs `other` on this thread while another thread runs `work`.
fn meanwhile(
    work: impl FnOnce() -> StoreResult<()> + Send,
    other: impl FnOnce() -> StoreResult<()>,
) -> StoreResult<()> {
    std::thread::scope(|scope| {
        let work = std::thread::Builder::new().spawn_scoped(scope, work)?;
        let other = other();
        // The closure does not panic. If it did, this thread panics too.
        let work = work.join();
        work.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        other
    })
}

/// Writes the changes of the transaction to the file, so that the commit has little left to do.
/// From here on no other process can read the database, and a crash leaves a journal to roll back.
fn flush(db: Database<'_>) -> StoreResult<()> {
    match db.connection.cache_flush() {
        // Another process reads the database. The commit waits for it once more.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        flushed => flushed.map_err(db.failed("write the changes")),
    }
}

fn rename_segment(connection: &Connection, old: Uuid, new: Uuid) -> rusqlite::Result<()> {
    let names = params![new.to_string(), old.to_string()];
    connection.execute("UPDATE segments SET id = ?1 WHERE id = ?2", names)?;
    connection.execute(
        "UPDATE segment_metadata SET segment_id = ?1 WHERE segment_id = ?2",
        names,
    )?;
    connection.execute(
        "DELETE FROM max_seq_id WHERE segment_id = ?1",
        [old.to_string()],
    )?;
    Ok(())
}

/// Folders of index files that no segment names: a flush replaced them, a crash left them, or their
/// collection was deleted. Chroma never looks at them.
pub(crate) fn unnamed_folders(db: Database<'_>) -> StoreResult<Vec<PathBuf>> {
    let mut unnamed = Vec::new();
    for entry in fs_err::read_dir(db.dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| Uuid::try_parse(name).ok()) else {
            continue;
        };
        if !entry.file_type()?.is_dir() || !index::holds_only_index_files(&entry.path())? {
            continue;
        }
        let named: bool = db
            .connection
            .prepare_cached("SELECT count(*) > 0 FROM segments WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([id.to_string()], |row| row.get(0)))
            .map_err(db.failed("look for a segment"))?;
        if !named {
            unnamed.push(entry.path());
        }
    }
    Ok(unnamed)
}
