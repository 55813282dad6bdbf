//! The redrive policy of a queue: the dead-letter queue, and how often a message is received before it goes
//! there. Operators change it while daemons run, so it is read again now and then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use compactor_core::ports::{Clock, Fault, Monotonic, PortError, PortResult};

use crate::fault::{Repeat, port_error};

/// The greatest age of the known policy.
pub(super) const RECENT: Duration = Duration::from_secs(30);
/// The same where a message is delivered again. It may have no receive left; a worker that does not know
/// this gives it back, and never records why its run failed.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// The policy of one queue, read again when it is too old.
pub(super) struct Redrive {
    client: Client,
    url: String,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

/// The policy as it was last read.
struct Known {
    policy: Policy,
    /// The URL of the dead-letter queue.
    dead_letters: String,
    read: Monotonic,
}

impl Redrive {
    /// Reads the policy for the first time.
    ///
    /// # Errors
    /// The queue or its dead-letter queue cannot be read, or the queue has none (`Missing`).
    pub(super) async fn read(
        client: Client,
        url: String,
        clock: Arc<dyn Clock>,
    ) -> PortResult<Self> {
        let read = clock.monotonic();
        let policy = Policy::read(&client, &url).await?;
        let known = Mutex::new(Known {
            dead_letters: policy.url(&client).await?,
            policy,
            read,
        });
        Ok(Self {
            client,
            url,
            clock,
            known,
        })
    }

    pub(super) fn max_receives(&self) -> u32 {
        self.known().policy.max_receives
    }

    /// The URL of the dead-letter queue.
    pub(super) fn dead_letters(&self) -> String {
        self.known().dead_letters.clone()
    }

    /// Reads the policy again if the known one is older than `age`. Keeps the known one if that fails.
    pub(super) async fn look_again(&self, age: Duration) {
        let before = {
            let (mut known, now) = (self.known(), self.clock.monotonic());
            if now.0.saturating_sub(known.read.0) < age {
                return;
            }
            // One caller reads; the others go on with the known policy.
            known.read = now;
            known.policy.clone()
        };
        if let Err(error) = self.replace(before).await {
            let code = error.code();
            if error.may_pass() {
                tracing::debug!(code, %error, "cannot read the redrive policy again");
            } else {
                tracing::warn!(code, %error, "cannot read the redrive policy again; keeping the last one");
            }
        }
    }

    async fn replace(&self, before: Policy) -> PortResult<()> {
        let policy = Policy::read(&self.client, &self.url).await?;
        if policy == before {
            return Ok(());
        }
        let dead_letters = policy.url(&self.client).await?;
        tracing::info!(
            queue = self.url,
            max_receives = policy.max_receives,
            before = before.max_receives,
            dead_letters,
            "the redrive policy of the queue has changed"
        );
        let mut known = self.known();
        (known.policy, known.dead_letters) = (policy, dead_letters);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic leaves whole values only.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The attribute `RedrivePolicy` of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    /// The dead-letter queue's name.
    queue: String,
    /// The account that owns that queue.
    account: String,
    max_receives: u32,
}

impl Policy {
    async fn read(client: &Client, url: &str) -> PortResult<Self> {
        const READ: &str = "open queue";
        let asked = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| port_error(READ, url, Repeat::Harmless, error))?;
        asked
            .attributes()
            .and_then(|attributes| attributes.get(&QueueAttributeName::RedrivePolicy))
            .and_then(|policy| Self::parse(policy))
            .ok_or_else(|| {
                let reason = "it has no dead-letter queue; give it a redrive policy";
                PortError::new(READ, url, Fault::Missing, reason)
            })
    }

    /// The URL of the dead-letter queue.
    async fn url(&self, client: &Client) -> PortResult<String> {
        let found = client
            .get_queue_url()
            .queue_name(&self.queue)
            .queue_owner_aws_account_id(&self.account)
            .send()
            .await;
        let found = found
            .map_err(|error| port_error("open queue", &self.queue, Repeat::Harmless, error))?;
        Ok(found.queue_url().unwrap_or_default().to_owned())
    }

    /// `{"deadLetterTargetArn":"arn:aws:sqs:REGION:ACCOUNT:NAME","maxReceiveCount":5}`, the count
    /// as a number or as text.
    fn parse(policy: &str) -> Option<Self> {
        let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
        let queue = policy.get("deadLetterTargetArn")?.as_str()?;
        let mut parts = queue.rsplit(':');
        let (queue, account) = (parts.next()?, parts.next()?);
        let count = policy.get("maxReceiveCount")?;
        let count = match count.as_str() {
            Some(text) => text.parse().ok()?,
            None => u32::try_from(count.as_u64()?).ok()?,
        };
        Some(Self {
            queue: queue.to_owned(),
            account: account.to_owned(),
            max_receives: count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redrive_policy_is_read_with_the_count_as_number_or_text() {
        for count in ["5", "\"5\""] {
            let policy = format!(
                "{{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-1:000000000000:q-dlq\",\
                 \"maxReceiveCount\":{count}}}"
            );
            let policy = Policy::parse(&policy).unwrap();
            assert_eq!((policy.queue.as_str(), policy.max_receives), ("q-dlq", 5));
        }
        assert!(Policy::parse("{}").is_none());
    }
}
