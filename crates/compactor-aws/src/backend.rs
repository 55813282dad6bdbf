//! The AWS backend: all ports of one deployment.

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
/// How long one attempt of a call may take. Calls that naturally take longer have limits of their own.
const ATTEMPT: Duration = Duration::from_secs(20);
/// The same for queues and tables, whose answers are small.
const SHORT: Duration = Duration::from_secs(5);

/// The names of the resources of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsOptions {
    /// The region; `None` to use the one that the SDK finds in environment or profile.
    pub region: Option<String>,
    /// The URL of an emulator that replaces all services; `None` for AWS.
    pub endpoint: Option<String>,
    /// The bucket of snapshots and deltas. Must not be empty.
    pub bucket: String,
    /// Other buckets from which deltas may be read.
    pub delta_buckets: Vec<String>,
    /// The id of the account that a bucket must belong to, by bucket. Requests to a bucket of another
    /// account are refused; buckets that are not listed are not checked.
    pub bucket_owners: BTreeMap<String, String>,
    /// The URL of the queue of all collections; empty if `queues` has one for each.
    pub queue_url: String,
    /// The URL of each collection's own queue; empty if all collections share one.
    pub queues: BTreeMap<CollectionName, String>,
    /// The name of the table of locks, fences and run records. Must not be empty.
    pub table: String,
    /// The ids of a collection's locks, in the order in which they are taken; `{c}` stands for the
    /// collection's name.
    pub lock_ids: Vec<String>,
    /// A download that receives less than 256 KiB within this time gets a new connection.
    pub stall: Duration,
}

/// The four ports that store data, on AWS.
#[derive(Clone)]
pub struct AwsBackend {
    /// The objects, in S3.
    pub objects: Arc<S3ObjectStore>,
    /// The queue of all collections, or the queues of each, in SQS.
    pub queue: Arc<dyn Queue>,
    /// The locks and fences of all collections, in DynamoDB.
    pub leases: Arc<DynamoLeaseStore>,
    /// The records of all runs, in DynamoDB.
    pub runs: Arc<DynamoRunStore>,
}

/// The ports on AWS without the queue.
#[derive(Clone)]
pub struct AwsStores {
    /// The objects, in S3.
    pub objects: Arc<S3ObjectStore>,
    /// The locks and fences of all collections, in DynamoDB.
    pub leases: Arc<DynamoLeaseStore>,
    /// The records of all runs, in DynamoDB.
    pub runs: Arc<DynamoRunStore>,
}

impl AwsBackend {
    /// Makes clients for everything that `options` name, with the credentials that the SDK finds, and reads
    /// the redrive policy of each queue. The queue has a result of its own, so that a caller can still check
    /// the stores if the queue cannot be used.
    ///
    /// # Errors
    /// An option is missing, a variable of the environment cannot be used, or the services accept no
    /// credentials. All other errors of the queue are in the inner result.
    pub async fn connect_each(
        options: AwsOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<(AwsStores, Result<Arc<dyn Queue>, ConnectError>), ConnectError> {
        let config = configuration(&options).await?;
        let stores = stores(&config, &options, Arc::clone(&clock))?;
        match queue(&config, options, clock, ids).await {
            // All services use the same credentials.
            Err(error @ ConnectError::Credentials { .. }) => Err(error),
            queue => Ok((stores, queue)),
        }
    }

    /// As [`AwsBackend::connect_each`], but with the caller's SDK configuration and one result.
    ///
    /// # Errors
    /// An option is missing, a variable of the environment cannot be used, the services accept no
    /// credentials, or a queue cannot be read or has no dead-letter queue.
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

/// Whether the environment names an endpoint for one service alone, in the SDK's variable.
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
        // Emulators resolve no host names of buckets, whether settings or environment name the emulator.
        .force_path_style(config.endpoint_url().is_some() || has_own_endpoint("S3"))
        .build();
    let (deltas, owners) = (&options.delta_buckets, &options.bucket_owners);
    let buckets = Buckets::new(s3, deltas.iter().cloned(), owners.clone());
    // A lease would expire before a slow call of these ends.
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
