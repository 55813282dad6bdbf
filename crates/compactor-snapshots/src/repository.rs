//! The way to all that is published: an object store whose reads are repeated. What can be done with it
//! is in the modules beside this one, each with its own `impl`.

use std::sync::Arc;

use compactor_core::ports::ObjectStore;

use crate::retry::{Retry, RetryingReads};

/// The published snapshots of all collections in one object store.
///
/// Cloning is cheap: clones share the store.
#[derive(Clone)]
pub struct SnapshotRepository {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) retry: Retry,
}

impl SnapshotRepository {
    /// What is in `objects`. Each call is made once.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            retry: Retry::once(),
        }
    }

    /// What is in `objects`. Reads, and writes that may be repeated, are repeated as `retry` says.
    pub fn retrying(objects: &Arc<dyn ObjectStore>, retry: Retry) -> Self {
        Self {
            objects: Arc::new(RetryingReads::new(Arc::clone(objects), retry.clone())),
            retry,
        }
    }

    /// The store. Its reads are repeated; its writes are made once.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.objects.as_ref()
    }
}
