//! What services put around a message on its way to the queue: SNS without raw delivery, and
//! EventBridge. What S3 itself sends, and what a client put elsewhere, is told apart as well.

use serde_json::{Map, Value};

use super::MessageError;
use crate::ports::Attributes;

/// A rule of EventBridge may send to a topic of SNS, which sends to the queue.
const MOST: u32 = 2;

/// The markers of the extended client for large messages, before its pointer: the present one and that
/// of its first version.
const OFFLOADED: [&str; 2] = ["PayloadS3Pointer", "MessageS3Pointer"];

/// The message itself, with the attributes of all that was around it; those inside rank above.
pub(super) fn open(
    body: &str,
    attributes: &Attributes,
) -> Result<(Map<String, Value>, Attributes), MessageError> {
    let mut message = object(body)?;
    let mut attributes = attributes.clone();
    for _ in 0..MOST {
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

/// Whether S3 tells that it may send to the queue; it does when a notification is configured.
pub(super) fn is_test_event(message: &Map<String, Value>) -> bool {
    message.get("Event").and_then(Value::as_str) == Some("s3:TestEvent")
}

fn object(body: &str) -> Result<Map<String, Value>, MessageError> {
    match serde_json::from_str(body) {
        Ok(Value::Array(parts)) if offloaded(&parts) => Err(MessageError::Offloaded),
        // Says what else it is.
        _ => serde_json::from_str(body).map_err(MessageError::NotJson),
    }
}

/// `["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": …, "s3Key": …}]`
fn offloaded(parts: &[Value]) -> bool {
    let marker = parts.first().and_then(Value::as_str);
    marker.is_some_and(|marker| OFFLOADED.iter().any(|known| marker.ends_with(known)))
}

/// What SNS delivers.
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

/// What EventBridge delivers.
fn event(message: &mut Map<String, Value>) -> Option<Value> {
    let is_event =
        message.contains_key("detail-type") && message.get("detail").is_some_and(Value::is_object);
    is_event.then(|| message.remove("detail"))?
}
