//! Reading messages: which run and collection one announces, and where the delta is.

use serde_json::{Map, Value};

use crate::keys::DeltaLocation;
use crate::ports::Attributes;
use crate::{CollectionName, RunId, RunKey, run_id};

use super::{
    COLLECTION, CompactionMessage, Decoded, ENTITY_TYPE, EVENT_NAME, MessageError, OWN_PREFIX,
    PREFIX_SUFFIX, Refused, envelope, receipt_id, stream_record,
};

/// Reads a message, after it has removed the envelopes of SNS and EventBridge.
///
/// The attribute `collection` names the collection. Without it, the collection is the one whose
/// `{collection}_delta_prefix` equals the message's `delta_s3_prefix`, if there is exactly one. The delta
/// is at `{collection}_delta_prefix`. Without that field, it is at `delta_s3_prefix`, but only if that
/// begins with the collection's name: else it may be another collection's.
///
/// # Errors
/// The body is not a JSON object or was moved to S3, a field is missing or has a wrong value, or the
/// collection or its delta cannot be determined. [`Refused::about`] is set once run and collection are
/// known.
pub fn decode(body: &str, attributes: &Attributes) -> Result<Decoded, Refused> {
    let (envelope, attributes) = envelope::open(body, attributes)?;
    let attributes = &attributes;
    if envelope::is_test_event(&envelope) {
        return Ok(Decoded::other("s3:TestEvent", ""));
    }
    if let Some(record) = stream_record::read(&envelope) {
        return Ok(record?);
    }
    let entity_type =
        text(&envelope, "entity_type", "entity_type")?.ok_or(MessageError::Missing {
            field: "entity_type",
        })?;
    let event_name = text(&envelope, "event_name", "event_name")?.unwrap_or(EVENT_NAME);
    if entity_type != ENTITY_TYPE || event_name != EVENT_NAME {
        return Ok(Decoded::other(entity_type, event_name));
    }
    let entity = match envelope.get("entity_data") {
        Some(Value::Object(entity)) => entity,
        None | Some(Value::Null) => {
            return Err(missing_data().into());
        }
        Some(_) => {
            let (field, expected) = ("entity_data", "an object");
            return Err(MessageError::Field { field, expected }.into());
        }
    };
    let key = run_key(entity)?;
    let collection = collection(entity, attributes)?;
    match delta(entity, &collection) {
        Ok((prefix, location)) => Ok(Decoded::Run(CompactionMessage {
            key,
            collection,
            delta_prefix: prefix.to_owned(),
            location,
            attributes: attributes.clone(),
        })),
        Err(error) => Err(Refused {
            error,
            about: Some(Box::new((key, collection))),
        }),
    }
}

fn run_key(entity: &Map<String, Value>) -> Result<RunKey, MessageError> {
    let run_id: RunId = text(entity, "run_id", "entity_data.run_id")?
        .ok_or(MessageError::Missing {
            field: "entity_data.run_id",
        })?
        .parse()
        .map_err(MessageError::RunId)?;
    let mut key = RunKey::plain(run_id);
    if let Some(image_id) = text(entity, "image_id", "entity_data.image_id")? {
        key.image_id = run_id::image_id(image_id).map_err(MessageError::ImageId)?;
    }
    match entity.get("receipt_id") {
        None | Some(Value::Null) => {}
        Some(value) => {
            key.receipt_id = value
                .as_u64()
                .filter(|id| receipt_id::is_allowed(*id))
                .ok_or(MessageError::Field {
                    field: "entity_data.receipt_id",
                    expected: receipt_id::RULE,
                })?;
        }
    }
    Ok(key)
}

fn collection(
    entity: &Map<String, Value>,
    attributes: &Attributes,
) -> Result<CollectionName, MessageError> {
    if let Some(name) = attributes.get(COLLECTION) {
        return name.parse().map_err(MessageError::Collection);
    }
    let own = text(entity, OWN_PREFIX, "entity_data.delta_s3_prefix")?
        .ok_or(MessageError::NoCollection)?;
    let mut candidates = entity
        .iter()
        .filter(|(_, prefix)| prefix.as_str() == Some(own))
        .filter_map(|(field, _)| field.strip_suffix(PREFIX_SUFFIX));
    match (candidates.next(), candidates.next()) {
        (Some(name), None) => name.parse().map_err(MessageError::Collection),
        _ => Err(MessageError::NoCollection),
    }
}

fn missing_data() -> MessageError {
    MessageError::Missing {
        field: "entity_data",
    }
}

fn delta<'a>(
    entity: &'a Map<String, Value>,
    collection: &CollectionName,
) -> Result<(&'a str, DeltaLocation), MessageError> {
    let prefix = delta_prefix(entity, collection)?;
    match DeltaLocation::parse(prefix) {
        Ok(location) => Ok((prefix, location)),
        Err(source) => Err(MessageError::Prefix {
            collection: collection.clone(),
            source,
        }),
    }
}

fn delta_prefix<'a>(
    entity: &'a Map<String, Value>,
    collection: &CollectionName,
) -> Result<&'a str, MessageError> {
    let field = format!("{collection}{PREFIX_SUFFIX}");
    if let Some(prefix) = text(entity, &field, "entity_data.{collection}_delta_prefix")? {
        return Ok(prefix);
    }
    let is_ours = |prefix: &&str| {
        DeltaLocation::parse(prefix)
            .is_ok_and(|location| location.prefix.split('/').next() == Some(collection.as_str()))
    };
    text(entity, OWN_PREFIX, "entity_data.delta_s3_prefix")?
        .filter(is_ours)
        .ok_or_else(|| MessageError::NoPrefix {
            collection: collection.clone(),
        })
}

/// A field with text. Empty text and null count as missing.
fn text<'a>(
    map: &'a Map<String, Value>,
    key: &str,
    field: &'static str,
) -> Result<Option<&'a str>, MessageError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(MessageError::Field {
            field,
            expected: "text",
        }),
    }
}
