//! Records of the table's change stream, as an EventBridge pipe puts them into the queue: one record for
//! all collections of a run.

use serde_json::{Map, Value};

use crate::{RunId, RunKey, run_id};

use super::{
    Decoded, ENTITY_TYPE, EVENT_NAME, InsertedRun, MessageError, PREFIX_SUFFIX, receipt_id,
};

/// Characters of a region or of the id of a change that are kept: those of AWS have fewer.
const LONGEST_OF_AWS: usize = 64;

/// Reads a record; `None` if `body` is none.
pub(super) fn read(body: &Map<String, Value>) -> Option<Result<Decoded, MessageError>> {
    let change = body.get("dynamodb")?.as_object()?;
    let event_name = body.get("eventName")?.as_str()?;
    let of = |name: &str| change.get(name).and_then(Value::as_object);
    let image = of("NewImage");
    // The record of a removal has only the old image.
    let any = image.or_else(|| of("OldImage"));
    let entity_type = any.and_then(|image| text(image, "TYPE"));
    let (Some(image), Some(ENTITY_TYPE), EVENT_NAME) = (image, entity_type, event_name) else {
        let entity_type = entity_type.unwrap_or("stream record");
        return Some(Ok(Decoded::other(entity_type, event_name)));
    };
    // Every announcement of a collection repeats them, so they must be short.
    let own = |name: &str| {
        let text = body.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().take(LONGEST_OF_AWS).collect::<String>()
    };
    let (region, change_id) = (own("awsRegion"), own("eventID"));
    Some(inserted(image, region, change_id).map(Decoded::Inserted))
}

fn inserted(
    image: &Map<String, Value>,
    region: String,
    change_id: String,
) -> Result<InsertedRun, MessageError> {
    let missing = |field| MessageError::Missing { field };
    let run_id: RunId = text(image, "run_id")
        .ok_or_else(|| missing("dynamodb.NewImage.run_id"))?
        .parse()
        .map_err(MessageError::RunId)?;
    let mut key = RunKey::plain(run_id);
    if let Some(image_id) = text(image, "image_id") {
        key.image_id = run_id::image_id(image_id).map_err(MessageError::ImageId)?;
    }
    if let Some(digits) = value(image, "receipt_id", "N") {
        let allowed = digits.parse().ok().filter(|id| receipt_id::is_allowed(*id));
        key.receipt_id = allowed.ok_or(MessageError::Field {
            field: "dynamodb.NewImage.receipt_id",
            expected: receipt_id::RULE,
        })?;
    }
    let mut deltas = Vec::new();
    for name in image.keys() {
        let (Some(collection), Some(prefix)) =
            (name.strip_suffix(PREFIX_SUFFIX), text(image, name))
        else {
            continue;
        };
        let collection = collection.parse().map_err(MessageError::Collection)?;
        deltas.push((collection, prefix.to_owned()));
    }
    if deltas.is_empty() {
        return Err(missing("dynamodb.NewImage.{collection}_delta_prefix"));
    }
    Ok(InsertedRun {
        key,
        deltas,
        region,
        change_id,
    })
}

/// A value of the stream's form, `{"S": "text"}`.
fn value<'v>(image: &'v Map<String, Value>, name: &str, kind: &str) -> Option<&'v str> {
    let value = image.get(name)?.get(kind)?.as_str()?;
    (!value.is_empty()).then_some(value)
}

fn text<'v>(image: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    value(image, name, "S")
}
