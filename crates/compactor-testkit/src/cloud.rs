//! A bucket, a queue with a dead-letter queue, and a table of one test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use compactor_aws::{AwsBackend, AwsOptions};
use compactor_core::ports::{Clock, Ids};
use compactor_local::{RandomIds, SystemClock};

use crate::emulator::endpoint;

const REGION: &str = "us-east-1";

/// The resources of one test on the emulator, all of the same random name.
pub struct Cloud {
    /// For clients of the SDK that are to reach the emulator.
    pub config: SdkConfig,
    /// What the adapters need to find the resources.
    pub options: AwsOptions,
    /// The clock of this machine.
    pub clock: Arc<dyn Clock>,
}

impl Cloud {
    /// Makes them. A message goes to the dead-letter queue once it was received `max_receives` times.
    pub async fn new(max_receives: u32) -> Self {
        Self::make(max_receives, false).await
    }

    /// As [`Cloud::new`], with FIFO queues.
    pub async fn with_fifo(max_receives: u32) -> Self {
        Self::make(max_receives, true).await
    }

    async fn make(max_receives: u32, fifo: bool) -> Self {
        // Process ids come round: tests of many processes share one emulator.
        let name = format!("test-{:016x}", fastrand::u64(..));
        let config = config(endpoint());
        let queue_url = make_queues(&config, &name, max_receives, fifo).await;
        make_bucket(&config, &name).await;
        make_table(&config, &name).await;
        Self {
            config,
            clock: Arc::new(SystemClock::new()),
            options: options(endpoint(), &name, &queue_url),
        }
    }

    /// The adapters, by the clock of this machine.
    pub async fn backend(&self) -> AwsBackend {
        connect(&self.config, self.options.clone()).await
    }

    /// The adapters of a machine with this clock.
    pub async fn backend_by(&self, clock: Arc<dyn Clock>) -> AwsBackend {
        let (options, ids) = (self.options.clone(), Arc::new(RandomIds));
        AwsBackend::with(&self.config, options, clock, ids)
            .await
            .unwrap()
    }

    /// Every key of the bucket.
    pub async fn keys(&self) -> Vec<String> {
        use compactor_core::ports::ObjectStore;
        let objects = self.backend().await.objects;
        let listed = objects.list_all("").await.unwrap();
        listed.into_iter().map(|info| info.key).collect()
    }

    /// Changes `maxReceiveCount` of the queue's redrive policy, as its owner does.
    pub async fn set_max_receives(&self, max_receives: u32) {
        use QueueAttributeName::RedrivePolicy;
        let client = aws_sdk_sqs::Client::new(&self.config);
        let url = &self.options.queue_url;
        let asked = client.get_queue_attributes().queue_url(url);
        let asked = asked.attribute_names(RedrivePolicy).send().await.unwrap();
        let policy = &asked.attributes().unwrap()[&RedrivePolicy];
        let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap();
        policy["maxReceiveCount"] = max_receives.to_string().into();
        let change = client.set_queue_attributes().queue_url(url);
        let change = change.attributes(RedrivePolicy, policy.to_string());
        change.send().await.unwrap();
    }

    /// The item with these keys, by a strongly consistent read.
    pub async fn item(&self, partition: &str, sort: &str) -> Option<Item> {
        let client = aws_sdk_dynamodb::Client::new(&self.config);
        let got = client
            .get_item()
            .table_name(&self.options.table)
            .key("PK", AttributeValue::S(partition.to_owned()))
            .key("SK", AttributeValue::S(sort.to_owned()))
            .consistent_read(true)
            .send()
            .await;
        got.unwrap().item
    }

    /// Puts an item whose attributes are strings.
    pub async fn put_item(&self, fields: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), AttributeValue::S((*value).to_owned()))
        };
        let client = aws_sdk_dynamodb::Client::new(&self.config);
        let put = client.put_item().table_name(&self.options.table);
        let item: Item = fields.iter().map(own).collect();
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Receives up to ten messages of the dead-letter queue. Gives their attribute
    /// `dead_letter_reason`, empty for those that were only received too often.
    pub async fn dead_letter_reasons(&self) -> Vec<String> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let url = format!("{}-dlq", self.options.queue_url);
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        let reason = |message: aws_sdk_sqs::types::Message| {
            let mut attributes = message.message_attributes.unwrap_or_default();
            let reason = attributes.remove("dead_letter_reason");
            reason
                .and_then(|reason| reason.string_value)
                .unwrap_or_default()
        };
        let messages = received.messages.unwrap_or_default();
        messages.into_iter().map(reason).collect()
    }
}

/// Connects the adapters with clients of this configuration, by the clock of this machine.
pub async fn connect(config: &SdkConfig, options: AwsOptions) -> AwsBackend {
    let ids: Arc<dyn Ids> = Arc::new(RandomIds);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    AwsBackend::with(config, options, clock, ids).await.unwrap()
}

/// Options for bucket and table `name` and this queue, with the services at `endpoint`.
pub fn options(endpoint: &str, name: &str, queue_url: &str) -> AwsOptions {
    AwsOptions {
        region: Some(REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        bucket: name.to_owned(),
        delta_buckets: Vec::new(),
        bucket_owners: std::collections::BTreeMap::new(),
        queue_url: queue_url.to_owned(),
        queues: std::collections::BTreeMap::new(),
        table: name.to_owned(),
        lock_ids: ["chroma-{c}-compaction", "chroma-{c}-update"]
            .map(str::to_owned)
            .into(),
        stall: Duration::from_secs(20),
    }
}

/// The attributes of an item, by name.
pub type Item = HashMap<String, AttributeValue>;

/// A configuration of the SDK with the services at `endpoint`, and with credentials for tests.
pub fn config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(
            Credentials::new("test", "test", None, None, "tests"),
        ))
        // Not that of the binary, which heeds the environment.
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .build()
}

async fn make_bucket(config: &SdkConfig, name: &str) {
    let config = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(true)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket(name).send().await.unwrap();
}

async fn make_queues(config: &SdkConfig, name: &str, max_receives: u32, fifo: bool) -> String {
    let client = aws_sdk_sqs::Client::new(config);
    let make = |name: String| {
        let queue = client.create_queue();
        if fifo {
            let queue = queue.queue_name(format!("{name}.fifo"));
            queue.attributes(QueueAttributeName::FifoQueue, "true")
        } else {
            queue.queue_name(name)
        }
    };
    let dead = make(format!("{name}-dlq"));
    let dead = dead.send().await.unwrap();
    let asked = client
        .get_queue_attributes()
        .queue_url(dead.queue_url().unwrap())
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .unwrap();
    let arn = &asked.attributes().unwrap()[&QueueAttributeName::QueueArn];
    let policy =
        format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"{max_receives}\"}}");
    let queue = make(name.to_owned())
        .attributes(QueueAttributeName::RedrivePolicy, policy)
        .send()
        .await
        .unwrap();
    queue.queue_url().unwrap().to_owned()
}

async fn make_table(config: &SdkConfig, name: &str) {
    let key = |name: &str, kind| {
        let key = KeySchemaElement::builder().attribute_name(name);
        key.key_type(kind).build().unwrap()
    };
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S);
        attribute.build().unwrap()
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name("GSI1")
        .key_schema(key("GSI1PK", KeyType::Hash))
        .key_schema(key("GSI1SK", KeyType::Range))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::All)
                .build(),
        )
        .build()
        .unwrap();
    aws_sdk_dynamodb::Client::new(config)
        .create_table()
        .table_name(name)
        .key_schema(key("PK", KeyType::Hash))
        .key_schema(key("SK", KeyType::Range))
        .set_attribute_definitions(Some(["PK", "SK", "GSI1PK", "GSI1SK"].map(attribute).into()))
        .global_secondary_indexes(index)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
}
