//! A queue that refuses what no message can do without: to be extended, given back, deleted. The
//! table says whether the daemon has to end; each message that it went on with would be dead in the end.

use std::sync::{Arc, Mutex, PoisonError};

use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::{Fault, PortError};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The first such error, shared by all who meet one.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueueRefusal {
    error: Arc<Mutex<Option<PortError>>>,
    is_there: CancellationToken,
}

impl QueueRefusal {
    /// Takes note of an error that ends the daemon; others may pass.
    pub(crate) fn note(&self, error: PortError) {
        // A request that is wrong is so of one message: it was held for too long, say.
        let is_of_message = error.fault == Fault::Invalid;
        if is_of_message || of_fault(Resource::Queue, error.fault).0 != Disposition::Stop {
            return;
        }
        // An error or none at every instant.
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        self.is_there.cancel();
    }

    /// Waits for the first error, and returns it once.
    pub(crate) async fn happened(&self) -> Error {
        self.is_there.cancelled().await;
        let first = self
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let resource = Resource::Queue;
        match first {
            Some(error) => compactor_snapshots::Error::Port { resource, error }.into(),
            None => std::future::pending().await,
        }
    }
}
