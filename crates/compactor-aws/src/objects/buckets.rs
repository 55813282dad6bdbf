//! Which buckets may be read, and which account must own each. Without these checks a message could name
//! any bucket that the role of the daemon can read.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{Config, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// S3 refuses a request with this header if another account owns the bucket:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html>
const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";

/// Makes the clients for buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    config: Config,
    deltas: BTreeSet<String>,
    owners: BTreeMap<String, String>,
}

impl Buckets {
    /// `deltas` are the buckets, besides the daemon's own, from which deltas may be read; `owners` are
    /// account ids by bucket.
    pub(crate) fn new(
        config: Config,
        deltas: impl IntoIterator<Item = String>,
        owners: BTreeMap<String, String>,
    ) -> Self {
        Self {
            config,
            deltas: deltas.into_iter().collect(),
            owners,
        }
    }

    /// The client for another bucket; `None` if no deltas may be read from it.
    pub(super) fn delta_client(&self, bucket: &str) -> Option<Client> {
        self.deltas.contains(bucket).then(|| self.client(bucket))
    }

    /// The client for a bucket. Each request names the account that must own it, if that is configured.
    pub(super) fn client(&self, bucket: &str) -> Client {
        let mut config = self.config.to_builder();
        if let Some(account) = self.owners.get(bucket) {
            config = config.interceptor(ExpectedOwner(account.clone()));
        }
        Client::from_conf(config.build())
    }
}

#[derive(Debug)]
struct ExpectedOwner(String);

impl Intercept for ExpectedOwner {
    fn name(&self) -> &'static str {
        "ExpectedOwner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.try_insert(EXPECTED_OWNER, self.0.clone())?;
        Ok(())
    }
}
