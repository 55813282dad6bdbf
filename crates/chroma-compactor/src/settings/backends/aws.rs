//! Opens the ports on AWS: S3, SQS and DynamoDB.

use std::sync::Arc;

use compactor_aws::{AwsBackend, AwsOptions};
use compactor_core::ports::{Clock, Ids};

use super::Opened;
use crate::error::CommandError;
use crate::settings::RawSettings;

impl RawSettings {
    pub(super) async fn open_aws(
        &self,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Opened, CommandError> {
        let options = AwsOptions {
            region: self.aws.region.clone(),
            endpoint: self.aws.endpoint.clone(),
            bucket: self.aws.bucket.clone(),
            delta_buckets: self.aws.delta_buckets.clone(),
            bucket_owners: self.aws.bucket_owners.clone(),
            queue_url: self.aws.queue_url.clone(),
            queues: self.queues()?,
            table: self.aws.table.clone(),
            lock_ids: self.aws.lock_ids.clone(),
            stall: self.aws.stall,
        };
        let connected =
            AwsBackend::connect_each(options, Arc::clone(&clock), Arc::clone(&ids)).await;
        let (stores, queue) = connected?;
        Ok(Opened {
            objects: stores.objects,
            queue: queue.map_err(CommandError::from),
            leases: stores.leases,
            runs: stores.runs,
            clock,
            ids,
        })
    }
}
