//! Messages in our hands: kept hidden from others until they are deleted or given back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compactor_core::ports::{Delivery, Held, Receipt};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Ports, Settings};

/// Calls that are under way at the same time.
const AT_ONCE: usize = 16;

/// Extends the visibility of every held message until it is let go.
#[derive(Clone)]
pub(crate) struct HeldMessages {
    receipts: Arc<Mutex<HashSet<Receipt>>>,
}

impl HeldMessages {
    pub(crate) fn new() -> Self {
        Self {
            receipts: Arc::default(),
        }
    }

    pub(crate) fn hold(&self, delivery: &Delivery) {
        self.lock().insert(delivery.receipt.clone());
    }

    pub(crate) fn let_go(&self, receipt: &Receipt) {
        self.lock().remove(receipt);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Starts the task that extends; three times per visibility, so that two may fail.
    pub(crate) fn keep_hidden(&self, ports: Ports, settings: &Settings) -> JoinHandle<()> {
        let (held, visibility) = (self.clone(), settings.visibility);
        tokio::spawn(async move {
            loop {
                ports.clock.sleep(visibility / 3).await;
                let receipts: Vec<Receipt> = held.lock().iter().cloned().collect();
                // Together: one after the other, the last ones would come back before their turn.
                let mut extensions = JoinSet::new();
                for receipts in receipts.chunks(receipts.len().div_ceil(AT_ONCE).max(1)) {
                    extensions.spawn(extend(
                        held.clone(),
                        ports.clone(),
                        receipts.to_vec(),
                        visibility,
                    ));
                }
                extensions.join_all().await;
            }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Receipt>> {
        // A set of receipts is whole at every instant.
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn extend(held: HeldMessages, ports: Ports, receipts: Vec<Receipt>, visibility: Duration) {
    for receipt in receipts {
        match ports.queue.extend(&receipt, visibility).await {
            Ok(Held::Yes) => {}
            // Somebody else has it or had it: the manifest settles who did the work.
            Ok(Held::No) => held.let_go(&receipt),
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "cannot extend a message's visibility");
            }
        }
    }
}
