//! Announcing recorded runs: one message for each collection.

use compactor_core::disposition::Resource;
use compactor_core::message::{self, Announcement, MessageError};
use compactor_core::{CollectionName, RunKey, RunRecord};
use compactor_snapshots::About as _;

use crate::{Admission, Ports, Result};

/// Announces `collections` of a recorded run once more. A run that is announced twice is merged
/// once.
///
/// # Errors
/// The record has no delta for a collection, none that `admission` lets in, or the queue takes no
/// message.
pub async fn announce_again(
    ports: &Ports,
    admission: &Admission,
    record: &RunRecord,
    collections: &[CollectionName],
    region: &str,
) -> Result<()> {
    for collection in collections {
        let part = record.parts.get(collection);
        let prefix = part.map(|part| part.prefix.as_str());
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.ok_or_else(|| MessageError::NoPrefix {
            collection: collection.clone(),
        })?;
        admission.of_part(collection, prefix)?;
        announce_one(ports, &record.key, (collection, prefix), region).await?;
    }
    Ok(())
}

/// Sends the message of one collection, with its own prefix and no other.
pub(crate) async fn announce_one(
    ports: &Ports,
    key: &RunKey,
    (collection, prefix): (&CollectionName, &str),
    region: &str,
) -> Result<()> {
    let stream_record_id = ports.ids.uuid().simple().to_string();
    let (body, attributes) = message::encode(
        &Announcement {
            key,
            deltas: &[(collection.clone(), prefix.to_owned())],
            at: ports.clock.wall(),
            region,
            stream_record_id: &stream_record_id[..8],
        },
        collection,
    )?;
    let sent = ports.queue.send(&body, &attributes).await;
    Ok(sent.about(Resource::Queue).map(drop)?)
}
