//! The envelopes that SNS (without raw delivery) and EventBridge put around a message, the test event
//! of S3, and bodies that a client moved to S3.

use serde_json::{Map, Value};

use super::MessageError;
use crate::ports::Attributes;

/// A rule of EventBridge may send to a topic of SNS, which sends to the queue.
const MOST_ENVELOPES: u32 = 2;

/// The ends of the markers that the extended client for large messages puts before its pointer, today
/// and in its first version.
const OFFLOADED: [&str; 2] = ["PayloadS3Pointer", "MessageS3Pointer"];

/// Removes the envelopes. Returns the message, with its attributes and those of the envelopes; the
/// innermost win.
pub(super) fn open(
    body: &str,
    attributes: &Attributes,
) -> Result<(Map<String, Value>, Attributes), MessageError> {
    let mut message = object(body)?;
    let mut attributes = attributes.clone();
    for _ in 0..MOST_ENVELOPES {
        if let Some(inner) = notification(&message) {
            attributes.extend(notified(&message));
            message = object(inner)?;
        } else if let Some(Value::Object(detail)) = event(&mut message) {
            message = detail;
        } else {
            break;
        }
    }
    Ok((message, attributes))
}

/// Whether this is the event that S3 sends when someone configures a notification to the queue.
pub(super) fn is_test_event(message: &Map<String, Value>) -> bool {
    message.get("Event").and_then(Value::as_str) == Some("s3:TestEvent")
}

fn object(body: &str) -> Result<Map<String, Value>, MessageError> {
    match serde_json::from_str(body) {
        Ok(Value::Array(parts)) if offloaded(&parts) => Err(MessageError::Offloaded),
        // Parsed again, so that the error names the type that was found.
        _ => serde_json::from_str(body).map_err(MessageError::NotJson),
    }
}

/// `["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": …, "s3Key": …}]`
fn offloaded(parts: &[Value]) -> bool {
    let marker = parts.first().and_then(Value::as_str);
    marker.is_some_and(|marker| OFFLOADED.iter().any(|known| marker.ends_with(known)))
}

/// The message inside an envelope of SNS.
fn notification(message: &Map<String, Value>) -> Option<&str> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    (text("Type") == Some("Notification") && message.contains_key("TopicArn"))
        .then(|| text("Message"))?
}

/// `"MessageAttributes": {"name": {"Type": "String", "Value": "…"}}`
fn notified(message: &Map<String, Value>) -> Attributes {
    let all = message.get("MessageAttributes").and_then(Value::as_object);
    let texts = all.into_iter().flatten().filter_map(|(name, attribute)| {
        let value = attribute.get("Value")?.as_str()?;
        Some((name.clone(), value.to_owned()))
    });
    texts.collect()
}

/// The message inside an envelope of EventBridge.
fn event(message: &mut Map<String, Value>) -> Option<Value> {
    let is_event =
        message.contains_key("detail-type") && message.get("detail").is_some_and(Value::is_object);
    is_event.then(|| message.remove("detail"))?
}
