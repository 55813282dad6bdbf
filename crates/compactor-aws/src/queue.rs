//! The port `Queue` on one SQS queue, standard or FIFO, with a dead-letter queue behind it.

mod redrive;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use compactor_core::ports::{
    Attributes, Clock, Delivery, Depth, Held, Ids, PortResult, Queue, Receipt,
};

use redrive::{FRESH, RECENT, Redrive};

use crate::fault::{Repeat, code, port_error};

/// The longest wait that SQS takes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The longest time that SQS keeps a message in flight, all extensions together.
const LONGEST_HOLD: Duration = Duration::from_secs(12 * 60 * 60);
/// How long the answer to a long poll may take beyond its wait.
const ANSWER: Duration = Duration::from_secs(10);
/// The most attributes that a message can have on SQS.
const MOST_ATTRIBUTES: usize = 10;
/// The attribute of a dead letter that has the reason.
const REASON: &str = "dead_letter_reason";
/// Characters of a reason that are kept: attributes count towards the size of a message.
const LONGEST_REASON: usize = 1024;
/// The attribute that chooses the group of a FIFO message: messages of one collection stay in order.
const GROUP_ATTRIBUTE: &str = "collection";

/// An SQS queue and its dead-letter queue.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
    redrive: Arc<Redrive>,
    ids: Arc<dyn Ids>,
}

impl std::fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsQueue")
            .field("url", &self.url)
            .field("dead_letters", &self.redrive.dead_letters())
            .field("max_receives", &self.redrive.max_receives())
            .finish_non_exhaustive()
    }
}

impl SqsQueue {
    /// Opens the queue at `url` and reads its redrive policy: the dead-letter queue, and how often a message
    /// is received before it goes there.
    ///
    /// # Errors
    /// The queue or its dead-letter queue cannot be read, or the queue has none (`Missing`).
    pub async fn open(
        client: Client,
        url: String,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> PortResult<Self> {
        let redrive = Redrive::read(client.clone(), url.clone(), clock).await?;
        Ok(Self {
            redrive: Arc::new(redrive),
            client,
            url,
            ids,
        })
    }

    async fn change_visibility(
        &self,
        operation: &'static str,
        receipt: &Receipt,
        visibility: Duration,
    ) -> PortResult<Held> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let changed = request
            .receipt_handle(&receipt.0)
            .visibility_timeout(seconds(visibility.min(LONGEST_HOLD)))
            .send()
            .await;
        held(operation, &self.url, changed.map(drop))
    }

    fn sending(&self, url: &str, body: &str, attributes: &Attributes) -> SendMessageFluentBuilder {
        let values = attributes
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)));
        let request = self.client.send_message().queue_url(url).message_body(body);
        let request = request.set_message_attributes(Some(values.collect()));
        if !url.ends_with(".fifo") {
            return request;
        }
        let group = attributes.get(GROUP_ATTRIBUTE).map_or("", String::as_str);
        request
            .message_group_id(format!("compaction:{group}"))
            .message_deduplication_id(self.ids.uuid().to_string())
    }

    /// How many messages a receive could return now (approximate).
    ///
    /// # Errors
    /// The queue cannot be read.
    pub(crate) async fn waiting_now(&self) -> PortResult<u64> {
        Ok(self.counts(&self.url).await?.visible)
    }

    async fn counts(&self, url: &str) -> PortResult<Depth> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(names.into())).send().await;
        let answer =
            answer.map_err(|error| port_error("count messages", url, Repeat::Harmless, error))?;
        let count = |name| {
            let value = answer.attributes().and_then(|values| values.get(&name));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        Ok(Depth {
            visible: count(Name::ApproximateNumberOfMessages),
            delayed: count(Name::ApproximateNumberOfMessagesDelayed),
            in_flight: count(Name::ApproximateNumberOfMessagesNotVisible),
            dead: 0,
        })
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, body: &str, attributes: &Attributes) -> PortResult<String> {
        let sent = self.sending(&self.url, body, attributes).send().await;
        // A message that is sent twice is harmless: every receiver must cope with duplicates anyway.
        let sent =
            sent.map_err(|error| port_error("send message", &self.url, Repeat::Harmless, error))?;
        Ok(sent.message_id().unwrap_or_default().to_owned())
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> PortResult<Vec<Delivery>> {
        self.redrive.look_again(RECENT).await;
        let wait = wait.min(LONGEST_WAIT);
        let timeouts = aws_sdk_sqs::config::timeout::TimeoutConfig::builder()
            .operation_attempt_timeout(wait + ANSWER)
            .build();
        let config = aws_sdk_sqs::config::Builder::new().timeout_config(timeouts);
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.clamp(1, 10)).unwrap_or(10))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(visibility.min(LONGEST_HOLD)))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(config)
            .send()
            .await
            .map_err(|error| port_error("receive", &self.url, Repeat::Harmless, error))?;
        let messages = answer.messages.unwrap_or_default();
        let received: Vec<Delivery> = messages.into_iter().map(delivery).collect();
        if received.iter().any(|delivery| delivery.receive_count > 1) {
            self.redrive.look_again(FRESH).await;
        }
        Ok(received)
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> PortResult<Held> {
        let held = self.change_visibility("extend", receipt, visibility).await;
        // A worker that holds messages may receive none for long, so read the policy here too.
        self.redrive.look_again(RECENT).await;
        held
    }

    async fn release(&self, receipt: &Receipt, delay: Duration) -> PortResult<Held> {
        self.change_visibility("release", receipt, delay).await
    }

    async fn delete(&self, receipt: &Receipt) -> PortResult<Held> {
        let request = self.client.delete_message().queue_url(&self.url);
        let deleted = request.receipt_handle(&receipt.0).send().await;
        held("delete message", &self.url, deleted.map(drop))
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> PortResult<Held> {
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let kept = delivery.attributes.iter().take(MOST_ATTRIBUTES - 1);
        let mut attributes: Attributes = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
        attributes.insert(REASON.to_owned(), reason);
        // Sent before it is deleted: a crash in between leaves a duplicate, not a loss.
        let dead_letters = self.redrive.dead_letters();
        let sending = self.sending(&dead_letters, &delivery.body, &attributes);
        let sent = sending.send().await;
        sent.map_err(|error| port_error("dead-letter", &dead_letters, Repeat::Harmless, error))?;
        self.delete(&delivery.receipt).await
    }

    async fn depth(&self) -> PortResult<Depth> {
        let dead = self.counts(&self.redrive.dead_letters()).await?;
        Ok(Depth {
            dead: dead.visible + dead.delayed + dead.in_flight,
            ..self.counts(&self.url).await?
        })
    }

    fn longest_hold(&self) -> Duration {
        LONGEST_HOLD
    }

    fn max_receives(&self) -> u32 {
        self.redrive.max_receives()
    }
}

/// The duration in whole seconds, rounded up.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// A text attribute; `None` for empty text, which SQS refuses.
fn text(value: &str) -> Option<MessageAttributeValue> {
    if value.is_empty() {
        return None;
    }
    let value = MessageAttributeValue::builder().string_value(value);
    value.data_type("String").build().ok()
}

fn delivery(message: Message) -> Delivery {
    let attributes: HashMap<String, MessageAttributeValue> =
        message.message_attributes.unwrap_or_default();
    let counts = message.attributes.unwrap_or_default();
    let count = counts.get(&MessageSystemAttributeName::ApproximateReceiveCount);
    Delivery {
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
        message_id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
        receive_count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        of_queue: None,
    }
}

/// Whether the receipt of a call still held its message, by the answer of SQS.
fn held<E>(
    operation: &'static str,
    url: &str,
    answer: Result<(), SdkError<E, HttpResponse>>,
) -> PortResult<Held>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Err(error) = answer else {
        return Ok(Held::Yes);
    };
    let code = code(&error).unwrap_or_default();
    let code = code.rsplit(['#', '.']).next().unwrap_or(code);
    let message = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message);
    let of_receipt = message.is_some_and(|message| message.contains("ReceiptHandle"));
    match code {
        "MessageNotInflight" | "ReceiptHandleIsInvalid" => Ok(Held::No),
        // The answer of SQS to an expired receipt.
        "InvalidParameterValue" | "InvalidParameterValueException" if of_receipt => Ok(Held::No),
        _ => Err(port_error(operation, url, Repeat::Harmless, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_duration_is_rounded_up_to_whole_seconds() {
        let of = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([of(0), of(1), of(999), of(1000), of(1001)], [0, 1, 1, 1, 2]);
    }
}
