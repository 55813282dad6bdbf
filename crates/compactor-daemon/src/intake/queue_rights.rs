//! Whether messages may be extended, given back and deleted. Nothing else tells before the first one is
//! received.

use std::time::Duration;

use compactor_core::ports::{Fault, PortResult, Queue, Receipt};

const VISIBILITY: Duration = Duration::from_secs(60);

/// Changes and deletes a message that was never there, in each queue: a caller without the right is
/// told that first.
///
/// # Errors
/// It is denied. What else a queue says of such a message does not matter.
pub async fn check_queue_rights(queue: &dyn Queue) -> PortResult<()> {
    for number in 0..queue.own_queues().len().max(1) {
        // The form that own queues give their receipts.
        let nobody = Receipt(format!("{number}:nobody"));
        for tried in [
            queue.extend(&nobody, VISIBILITY).await,
            queue.delete(&nobody).await,
        ] {
            match tried {
                Err(error) if error.fault == Fault::Denied => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
