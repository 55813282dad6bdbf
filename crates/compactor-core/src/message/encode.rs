//! Writing messages, byte for byte as the Python stream processor does.

use serde_json::{Map, Value, json};

use crate::ports::{Attributes, WallTime};
use crate::{CollectionName, RunKey};

use super::{COLLECTION, ENTITY_TYPE, EVENT_NAME, MessageError, OWN_PREFIX, PREFIX_SUFFIX, SOURCE};

/// A run, and what its messages say of it.
#[derive(Debug, Clone, Copy)]
pub struct Announcement<'a> {
    /// The key of the run's record.
    pub key: &'a RunKey,
    /// The delta prefix of each collection. The body has them in this order.
    pub deltas: &'a [(CollectionName, String)],
    /// The time of the announcement.
    pub at: WallTime,
    /// The AWS region, or `local` without AWS.
    pub region: &'a str,
    /// The id of the change that led to the announcement; any short text.
    pub stream_record_id: &'a str,
}

/// Makes the body and the attributes of the message that announces the run to `target`.
///
/// # Errors
/// [`MessageError::NoPrefix`] if the announcement has no delta for `target`.
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
