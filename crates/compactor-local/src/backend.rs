//! The local backend: all ports on one directory.

use std::path::Path;
use std::sync::Arc;

use compactor_core::ports::{Clock, Ids};

use crate::coordination::Database;
use crate::{
    Access, DirectoryObjectStore, OpenError, SqliteLeaseStore, SqliteQueue, SqliteRunStore,
};

/// The settings of a local backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalOptions {
    /// After how many receives a message that is not deleted becomes a dead letter.
    pub max_receives: u32,
    /// Which other accounts may read the objects. `None` keeps the access of an existing directory, and
    /// gives none to other accounts in a new one.
    pub access: Option<Access>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            max_receives: 5,
            access: None,
        }
    }
}

/// The four ports that store data, on one directory.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    /// The objects, as plain files below `objects`.
    pub objects: Arc<DirectoryObjectStore>,
    /// The one queue of all collections, with its dead letters.
    pub queue: Arc<SqliteQueue>,
    /// The locks and fences of all collections.
    pub leases: Arc<SqliteLeaseStore>,
    /// The records of all runs.
    pub runs: Arc<SqliteRunStore>,
}

impl LocalBackend {
    /// Opens the backend in `directory`, makes what is missing, and removes the rights that earlier builds
    /// gave to other accounts. Blocks. Any number of processes may open one directory at once.
    ///
    /// # Errors
    /// The directory cannot be made, read or written, or other accounts can write to it. Another process
    /// holds the lock file of openers for more than ten seconds. The file system keeps
    /// no nanoseconds. The database cannot be opened, or a newer build made it.
    pub fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        options: LocalOptions,
    ) -> Result<Self, OpenError> {
        let objects = DirectoryObjectStore::open(directory, options.access, &*clock, ids.clone())?;
        let database = Database::open(directory)?;
        let queue = SqliteQueue::new(database.clone(), clock.clone(), ids, options.max_receives);
        let leases = SqliteLeaseStore::new(database.clone(), clock);
        let runs = SqliteRunStore::new(database);
        Ok(Self {
            objects: Arc::new(objects),
            queue: Arc::new(queue),
            leases: Arc::new(leases),
            runs: Arc::new(runs),
        })
    }
}
