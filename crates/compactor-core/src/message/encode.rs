//! Writing messages.

use serde_json::{Map, Value, json};

use crate::ports::{Attributes, WallTime};
use crate::{CollectionName, RunKey};

use super::{COLLECTION, ENTITY_TYPE, EVENT_NAME, MessageError, OWN_PREFIX, PREFIX_SUFFIX, SOURCE};

/// A run to be announced.
#[derive(Debug, Clone, Copy)]
pub struct Announcement<'a> {
    /// Which run.
    pub key: &'a RunKey,
    /// The delta prefix of each collection, in the order in which they are to be written.
    pub deltas: &'a [(CollectionName, String)],
    /// When it is announced.
    pub at: WallTime,
    /// The region to name.
    pub region: &'a str,
    /// The id of the change record this comes from; any short text.
    pub stream_record_id: &'a str,
}

/// Makes the body and the attributes of the message to `target`, one of the announced collections.
pub fn encode(
    announcement: &Announcement<'_>,
    target: &CollectionName,
) -> Result<(String, Attributes), MessageError> {
    let own = announcement
        .deltas
        .iter()
        .find(|(collection, _)| collection == target);
    let Some((_, own_prefix)) = own else {
        return Err(MessageError::NoPrefix {
            collection: target.clone(),
        });
    };
    let mut entity = Map::new();
    entity.insert("run_id".to_owned(), announcement.key.run_id.as_str().into());
    entity.insert(
        "image_id".to_owned(),
        announcement.key.image_id.as_str().into(),
    );
    entity.insert("receipt_id".to_owned(), announcement.key.receipt_id.into());
    for (collection, prefix) in announcement.deltas {
        entity.insert(
            format!("{collection}{PREFIX_SUFFIX}"),
            prefix.as_str().into(),
        );
    }
    entity.insert(OWN_PREFIX.to_owned(), own_prefix.as_str().into());
    let body = json!({
        "source": SOURCE,
        "entity_type": ENTITY_TYPE,
        "entity_data": Value::Object(entity),
        "changes": {},
        "event_name": EVENT_NAME,
        "timestamp": announcement.at.to_iso(),
        "stream_record_id": announcement.stream_record_id,
        "aws_region": announcement.region,
    });
    let attributes = [
        ("source", SOURCE),
        ("entity_type", ENTITY_TYPE),
        ("event_name", EVENT_NAME),
        (COLLECTION, target.as_str()),
    ];
    let attributes = attributes
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    Ok((body.to_string(), attributes))
}
