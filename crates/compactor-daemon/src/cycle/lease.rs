//! The collection's lease during a cycle: taken, renewed in the background, given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use compactor_core::disposition::Resource;
use compactor_core::lease::{HeldLease, LeaseTerm};
use compactor_core::ports::{Acquired, LockHolder, PortError};
use compactor_core::{Fence, Lineage};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use compactor_snapshots::About as _;

use crate::context::Context;
use crate::{Error, Ports, Result};

/// The answer to asking for a lease.
pub(super) enum Acquisition {
    /// It is ours.
    Held(Lease),
    /// It is another's.
    Busy(LockHolder),
}

/// A held lease. Dropping it stops the renewal and lets it expire.
pub(super) struct Lease {
    lineage: Lineage,
    owner: Uuid,
    fence: Fence,
    held: Arc<Mutex<HeldLease>>,
    lost: CancellationToken,
    /// Why it was not renewed the last time, if it was not.
    refusal: Arc<Mutex<Option<PortError>>>,
    renewal: tokio::task::JoinHandle<()>,
}

pub(super) async fn acquire(context: &Context, lineage: &Lineage) -> Result<Acquisition> {
    let (ports, settings) = (&context.ports, &context.settings);
    let owner = ports.ids.uuid();
    let before = ports.clock.monotonic();
    let term = settings.lease;
    let acquired = context
        .retry
        .call(|| ports.leases.acquire(lineage, owner, term.term()))
        .await
        .about(Resource::Lock)?;
    if let Acquired::Busy(holder) = acquired {
        return Ok(Acquisition::Busy(holder));
    }
    // A fence after the lock: gaps do no harm. Who lost the lock meanwhile may get one that is
    // greater than the next holder's; the renewal before the swap stops it.
    let fence = context
        .retry
        .call(|| ports.leases.next_fence(lineage))
        .await;
    let fence = match fence.about(Resource::Lock) {
        Ok(fence) => fence,
        Err(error) => {
            release(ports, lineage, owner).await;
            return Err(error.into());
        }
    };
    let held = Arc::new(Mutex::new(HeldLease::granted(before, &term)));
    let (lost, refusal) = (CancellationToken::new(), Arc::default());
    let renewal = Renewal {
        ports: ports.clone(),
        lineage: lineage.clone(),
        owner,
        term,
        held: Arc::clone(&held),
        refusal: Arc::clone(&refusal),
    };
    Ok(Acquisition::Held(Lease {
        lineage: lineage.clone(),
        owner,
        fence,
        held,
        renewal: tokio::spawn(renewal.keep(lost.clone())),
        lost,
        refusal,
    }))
}

/// Renews a lease in time.
struct Renewal {
    ports: Ports,
    lineage: Lineage,
    owner: Uuid,
    term: LeaseTerm,
    held: Arc<Mutex<HeldLease>>,
    refusal: Arc<Mutex<Option<PortError>>>,
}

impl Renewal {
    async fn keep(self, lost: CancellationToken) {
        let (clock, term) = (&self.ports.clock, &self.term);
        loop {
            let lease = *lock(&self.held);
            let now = clock.monotonic();
            if lease.remaining(now).is_zero() {
                return lost.cancel();
            }
            // After a failed renewal: again soon, as long as the lease lasts.
            let wait = lease.until_renewal(now).max(term.renew_every() / 10);
            clock.sleep(wait.min(lease.remaining(now))).await;
            let before = clock.monotonic();
            let leases = &self.ports.leases;
            match leases.renew(&self.lineage, self.owner, term.term()).await {
                Ok(true) => {
                    *lock(&self.held) = HeldLease::granted(before, term);
                    lock(&self.refusal).take();
                }
                Ok(false) => {
                    lock(&self.refusal).take();
                    return lost.cancel();
                }
                Err(error) => {
                    tracing::warn!(collection = %self.lineage, code = error.code(), %error, "cannot renew the lease");
                    lock(&self.refusal).replace(error);
                }
            }
        }
    }
}

async fn release(ports: &Ports, lineage: &Lineage, owner: Uuid) {
    if let Err(error) = ports.leases.release(lineage, owner).await {
        // It expires by itself.
        tracing::warn!(code = error.code(), %error, "cannot release the lease");
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are replaced whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lease {
    pub(super) fn fence(&self) -> Fence {
        self.fence
    }

    /// Runs work that may be dropped at any moment: when the daemon stops, or the lease is lost.
    pub(super) async fn abandonable<T, E: Into<Error>>(
        &self,
        context: &Context,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(Error::Stopping),
            () = self.lost.cancelled() => Err(self.lost()),
            outcome = work => outcome.map_err(Into::into),
        }
    }

    /// The last point at which the work can be abandoned: renews at once and checks that there is
    /// time for a swap.
    pub(super) async fn renew_for_swap(&self, context: &Context) -> Result<()> {
        if context.stop.is_cancelled() {
            return Err(Error::Stopping);
        }
        let (ports, term) = (&context.ports, &context.settings.lease);
        let before = ports.clock.monotonic();
        let renew = || {
            let leases = &ports.leases;
            leases.renew(&self.lineage, self.owner, term.term())
        };
        let renewed = context.retry.call(renew).await;
        let renewed = renewed.about(Resource::Lock)?;
        // It was answered: whatever was refused before is over.
        lock(&self.refusal).take();
        let lease = HeldLease::granted(before, term);
        if !renewed || !lease.may_swap(ports.clock.monotonic()) {
            return Err(self.lost());
        }
        *lock(&self.held) = lease;
        Ok(())
    }

    pub(super) async fn release(self, context: &Context) {
        self.renewal.abort();
        release(&context.ports, &self.lineage, self.owner).await;
    }

    /// Another worker has it, or it ran out because it could not be renewed.
    fn lost(&self) -> Error {
        match lock(&self.refusal).take() {
            Some(error) => compactor_snapshots::Error::Port {
                resource: Resource::Lock,
                error,
            }
            .into(),
            None => Error::LeaseLost {
                collection: self.lineage.to_string(),
            },
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
