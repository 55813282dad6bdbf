//! Opening everything that one deployment has on AWS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use compactor_core::CollectionName;
use compactor_core::ports::{Clock, Ids, Queue};

use crate::connect_error::ConnectError;
use crate::http::http_client;
use crate::objects::Buckets;
use crate::{DynamoLeaseStore, DynamoRunStore, S3ObjectStore, SqsQueue, SqsQueues};

const CONNECT: Duration = Duration::from_secs(5);
/// An answer begins sooner. What takes longer by its nature has times of its own.
const ATTEMPT: Duration = Duration::from_secs(20);
/// An answer of a queue or a table is small.
const SHORT: Duration = Duration::from_secs(5);

/// What a deployment is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsOptions {
    /// The region; `None` for what the SDK's own settings say.
    pub region: Option<String>,
    /// Where all services are instead of at AWS: an emulator's address.
    pub endpoint: Option<String>,
    /// The bucket of snapshots and deltas.
    pub bucket: String,
    /// Other buckets from which deltas are read.
    pub delta_buckets: Vec<String>,
    /// The accounts that buckets must belong to, by bucket.
    pub bucket_owners: BTreeMap<String, String>,
    /// The URL of the queue of all collections; empty if each has its own.
    pub queue_url: String,
    /// The URL of each collection's queue; empty if all share one.
    pub queues: BTreeMap<CollectionName, String>,
    /// The table of locks, fences and run records.
    pub table: String,
    /// The locks of a collection; `{c}` stands for its name.
    pub lock_ids: Vec<String>,
    /// A download that brings less than 256 KiB in so long gets a new connection.
    pub stall: Duration,
}

/// All four ports on AWS.
#[derive(Clone)]
pub struct AwsBackend {
    /// Objects in S3.
    pub objects: Arc<S3ObjectStore>,
    /// Messages in SQS.
    pub queue: Arc<dyn Queue>,
    /// Locks and fences in DynamoDB.
    pub leases: Arc<DynamoLeaseStore>,
    /// Run records in DynamoDB.
    pub runs: Arc<DynamoRunStore>,
}

/// What is there without the queue.
#[derive(Clone)]
pub struct AwsStores {
    /// Objects in S3.
    pub objects: Arc<S3ObjectStore>,
    /// Locks and fences in DynamoDB.
    pub leases: Arc<DynamoLeaseStore>,
    /// Run records in DynamoDB.
    pub runs: Arc<DynamoRunStore>,
}

impl AwsBackend {
    /// Connects to everything that `options` name, with the credentials that the SDK finds.
    ///
    /// # Errors
    /// An option is missing, a variable of the environment cannot be used, or the queue cannot be
    /// asked for its dead-letter queue.
    pub async fn connect(
        options: AwsOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, ConnectError> {
        let config = configuration(&options).await?;
        Self::with(&config, options, clock, ids).await
    }

    /// Connects to each by itself, to find out which of them is at fault.
    ///
    /// # Errors
    /// An option is missing, there are no credentials, or a variable of the environment cannot be
    /// used. The queue has its own outcome.
    pub async fn connect_each(
        options: AwsOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<(AwsStores, Result<Arc<dyn Queue>, ConnectError>), ConnectError> {
        let config = configuration(&options).await?;
        let stores = stores(&config, &options, Arc::clone(&clock))?;
        match queue(&config, options, clock, ids).await {
            // They are the same for all.
            Err(error @ ConnectError::Credentials { .. }) => Err(error),
            queue => Ok((stores, queue)),
        }
    }

    /// As [`AwsBackend::connect`], with clients of the caller's configuration.
    ///
    /// # Errors
    /// As for [`AwsBackend::connect`].
    pub async fn with(
        config: &SdkConfig,
        options: AwsOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, ConnectError> {
        let stores = stores(config, &options, Arc::clone(&clock))?;
        Ok(Self {
            objects: stores.objects,
            queue: queue(config, options, clock, ids).await?,
            leases: stores.leases,
            runs: stores.runs,
        })
    }
}

async fn configuration(options: &AwsOptions) -> Result<SdkConfig, ConnectError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client()?)
        .timeout_config(timeouts(ATTEMPT))
        .retry_config(RetryConfig::standard());
    if let Some(region) = options.region.clone() {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    Ok(loader.load().await)
}

/// Whether the environment names an endpoint for one service alone, as the SDK reads it.
fn has_own_endpoint(service: &str) -> bool {
    let named = std::env::var_os(format!("AWS_ENDPOINT_URL_{service}"));
    named.is_some_and(|url| !url.is_empty())
}

fn stores(
    config: &SdkConfig,
    options: &AwsOptions,
    clock: Arc<dyn Clock>,
) -> Result<AwsStores, ConnectError> {
    for (option, value) in [("bucket", &options.bucket), ("table", &options.table)] {
        if value.is_empty() {
            return Err(ConnectError::Unnamed { option });
        }
    }
    if options.queue_url.is_empty() && options.queues.is_empty() {
        return Err(ConnectError::Unnamed { option: "queue" });
    }
    if config.region().is_none() {
        return Err(ConnectError::Unnamed { option: "region" });
    }
    let s3 = aws_sdk_s3::config::Builder::from(config)
        .timeout_config(timeouts(ATTEMPT))
        // Emulators have no names for buckets, whether the settings name them or the environment.
        .force_path_style(config.endpoint_url().is_some() || has_own_endpoint("S3"))
        .build();
    let (deltas, owners) = (&options.delta_buckets, &options.bucket_owners);
    let buckets = Buckets::new(s3, deltas.iter().cloned(), owners.clone());
    // A lease would run out before a slow call of these ends.
    let dynamo = aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts(SHORT));
    let dynamo = aws_sdk_dynamodb::Client::from_conf(dynamo.build());
    let (table, lock_ids) = (options.table.clone(), options.lock_ids.clone());
    let objects = S3ObjectStore::new(
        buckets,
        options.bucket.clone(),
        Arc::clone(&clock),
        options.stall,
    );
    let leases = DynamoLeaseStore::new(dynamo.clone(), table.clone(), lock_ids, clock);
    Ok(AwsStores {
        objects: Arc::new(objects),
        leases: Arc::new(leases),
        runs: Arc::new(DynamoRunStore::new(dynamo, table)),
    })
}

async fn queue(
    config: &SdkConfig,
    options: AwsOptions,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> Result<Arc<dyn Queue>, ConnectError> {
    let sqs = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts(SHORT));
    let sqs = aws_sdk_sqs::Client::from_conf(sqs.build());
    if options.queues.is_empty() {
        let queue = SqsQueue::open(sqs, options.queue_url, clock, ids).await?;
        return Ok(Arc::new(queue));
    }
    let mut queues = Vec::new();
    for (collection, url) in options.queues {
        let queue = SqsQueue::open(sqs.clone(), url, Arc::clone(&clock), Arc::clone(&ids)).await?;
        queues.push((collection, queue));
    }
    Ok(Arc::new(SqsQueues::new(queues)))
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .build()
}
