//! The ports on AWS: objects in S3, messages in SQS, locks, fences and run records in DynamoDB.
//!
//! Everything that is stored or sent has the form that the Python writers and readers know.
//! Credentials come only through the SDK's own chain. This crate maps the answers of AWS to the faults
//! of the ports. It must not decide what an answer means for a cycle: `compactor-core` does.

mod attribute_values;
mod backend;
mod connect_error;
mod fault;
mod http;
mod leases;
mod objects;
mod queue;
mod queue_per_collection;
mod runs;

pub use backend::{AwsBackend, AwsOptions, AwsStores};
pub use connect_error::ConnectError;
pub use http::http_client;
pub use leases::DynamoLeaseStore;
pub use objects::S3ObjectStore;
pub use queue::SqsQueue;
pub use queue_per_collection::SqsQueues;
pub use runs::DynamoRunStore;
