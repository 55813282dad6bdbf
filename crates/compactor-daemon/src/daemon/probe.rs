//! What every run needs is asked for once before the first message is received: a daemon that can do
//! nothing ends without using up a receive, however often it is started again.

use compactor_core::disposition::{Disposition, Resource, at_start, of_fault};
use compactor_core::ports::{
    Attributes, Condition, ETag, Fault, PortError, PortResult, PutOutcome,
};
use compactor_core::{CollectionName, Lineage, RunKey, keys};
use compactor_snapshots::About as _;

use crate::context::Context;
use crate::intake::check_queue_rights;
use crate::{Ports, Result};

/// Below it are objects of no collection.
const PREFIX: &str = "doctor";
const POINTER_BYTES: u64 = 4 << 10;
/// Collections that are asked for where the queue does not tell which there are.
const SOME: usize = 3;

/// # Errors
/// What no retry changes: a right that is missing, a table or bucket that is not there or is
/// another's, a store that keeps no conditions.
pub(super) async fn probe(context: &Context) -> Result<()> {
    let (ports, retry) = (&context.ports, &context.retry);
    if let Ok(run) = ports.ids.uuid().to_string().parse() {
        let key = RunKey::plain(run);
        let read = retry.call(|| ports.runs.get(&key)).await;
        refuse(read, Resource::Table)?;
    }
    let rights = check_queue_rights(ports.queue.as_ref()).await;
    refuse(rights, Resource::Queue)?;
    let collections = collections(ports).await;
    let mut refused = Vec::new();
    for collection in &collections {
        let lineage = Lineage::from(collection);
        let held = retry.call(|| ports.leases.holder(&lineage)).await;
        // The reads of this port are repeated.
        let key = keys::pointer(&lineage);
        let read = ports.objects.get(&key, POINTER_BYTES).await;
        let is_served = refuse(held, Resource::Lock).and(refuse(read, Resource::Pointer));
        refused.extend(is_served.err());
    }
    // The others can be served; a cycle of this one says what is wrong.
    if refused.len() == collections.len()
        && let Some(error) = refused.pop()
    {
        return Err(error);
    }
    conditions(ports).await
}

/// Those that have queues of their own, or some that have objects.
async fn collections(ports: &Ports) -> Vec<CollectionName> {
    let own = ports.queue.own_queues();
    if !own.is_empty() {
        return own;
    }
    // Not everyone may list them, and nothing depends on it.
    let listed = ports.objects.list_folders("", None).await;
    let folders = listed.map(|page| page.entries).unwrap_or_default();
    let names = folders.iter().filter(|name| *name != PREFIX);
    names
        .filter_map(|name| name.parse().ok())
        .take(SOME)
        .collect()
}

/// Nothing but conditional writes keeps runs from being lost.
async fn conditions(ports: &Ports) -> Result<()> {
    let id = ports.ids.uuid();
    let key = format!("{PREFIX}/{id}/snapshot/latest-pointer.txt");
    // No object has it, and none has this key.
    let condition = Condition::IfMatch(ETag(format!("\"{}\"", id.simple())));
    let metadata = Attributes::new();
    let put = ports
        .objects
        .put(&key, "probe".into(), condition, &metadata);
    match put.await {
        Ok(PutOutcome::Written(_)) => {
            // The store has shown that it cannot be relied on; what is left there does no harm.
            let _ = ports.objects.delete(&key).await;
            let reason = "the store writes although the condition of the write does not hold";
            Err(PortError::new(
                "put object",
                key,
                Fault::Unsupported,
                reason,
            ))
            .about(Resource::Pointer)?;
            Ok(())
        }
        Err(error) if error.fault == Fault::Denied => {
            tracing::warn!(code = error.code(), %error, "not known whether pointers can be written");
            Ok(())
        }
        put => refuse(put, Resource::Pointer),
    }
}

/// Whether a daemon can go on; the cycles meet what may pass.
fn refuse<T>(answer: PortResult<T>, resource: Resource) -> Result<()> {
    let Err(error) = answer else { return Ok(()) };
    if at_start(resource, error.fault) == Disposition::Stop {
        return Ok(Err(error).about(resource)?);
    }
    // A collection that would pause says so itself.
    if of_fault(resource, error.fault).0 == Disposition::Keep {
        tracing::warn!(code = error.code(), %error, "not known whether the {} can be used", resource.name());
    }
    Ok(())
}
