//! Opening everything that is below one directory.

use std::path::Path;
use std::sync::Arc;

use compactor_core::ports::{Clock, Ids};

use crate::coordination::Database;
use crate::{
    Access, DirectoryObjectStore, OpenError, SqliteLeaseStore, SqliteQueue, SqliteRunStore,
};

/// What can be chosen about the local backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalOptions {
    /// After how many receives a message that is not deleted becomes a dead letter.
    pub max_receives: u32,
    /// Who besides the owner may read the objects. `None`: those who may now, and no other account in a
    /// new directory.
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

/// All four ports on one directory.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    /// Objects as plain files.
    pub objects: Arc<DirectoryObjectStore>,
    /// Messages.
    pub queue: Arc<SqliteQueue>,
    /// Locks and fences.
    pub leases: Arc<SqliteLeaseStore>,
    /// Run records.
    pub runs: Arc<SqliteRunStore>,
}

impl LocalBackend {
    /// Opens the backend in `directory`, making what is missing, and takes from other accounts what
    /// earlier builds let them do. Blocks; any number of processes may do it at once.
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
