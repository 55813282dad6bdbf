//! Answers of the services are read as the right fault, and the table of `compactor_core::disposition`
//! says what becomes of the runs. `cargo xtask faults` checks whole daemons against it.

use std::path::Path;
use std::time::Duration;

use compactor_aws::AwsBackend;
use compactor_core::disposition::Disposition::{DeadLetter, FailRun, Keep, Leave, Pause, Stop};
use compactor_core::disposition::{Disposition, Resource, of_fault};
use compactor_core::ports::{
    Attributes, Completion, Condition, Delivery, Fault, LeaseStore, ObjectStore, PortError,
    Receipt, RunStore, WallTime,
};
use compactor_core::{CollectionName, Fence, Lineage, RunKey};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::service_errors::{json, told, xml};
use crate::stub::Answer;

/// An answer of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said {
    /// An error: HTTP status and code.
    Error(u16, &'static str),
    /// The service closes the connection without an answer.
    Nothing,
}

use Said::{Error, Nothing};

/// Answers of S3 and the fault that each is. A write may have `OutcomeUnknown` instead.
const OF_S3: &[(Said, Fault)] = &[
    (Nothing, Fault::Transient),
    (Error(500, "InternalError"), Fault::Transient),
    (Error(503, "SlowDown"), Fault::Throttled),
    (Error(403, "AccessDenied"), Fault::Denied),
    (Error(403, "SignatureDoesNotMatch"), Fault::Denied),
    (Error(400, "ExpiredToken"), Fault::Denied),
    (Error(404, "NoSuchBucket"), Fault::Missing),
    (Error(301, "PermanentRedirect"), Fault::Invalid),
    (Error(400, "AuthorizationHeaderMalformed"), Fault::Invalid),
    (Error(400, "InvalidRequest"), Fault::Invalid),
    (Error(501, "NotImplemented"), Fault::Unsupported),
];

const OF_DYNAMODB: &[(Said, Fault)] = &[
    (Nothing, Fault::Transient),
    (Error(500, "InternalServerError"), Fault::Transient),
    (
        Error(400, "ProvisionedThroughputExceededException"),
        Fault::Throttled,
    ),
    (Error(400, "AccessDeniedException"), Fault::Denied),
    (Error(400, "UnrecognizedClientException"), Fault::Denied),
    (Error(400, "ResourceNotFoundException"), Fault::Missing),
    (Error(400, "ValidationException"), Fault::Invalid),
];

const OF_SQS: &[(Said, Fault)] = &[
    (Nothing, Fault::Transient),
    (Error(500, "InternalFailure"), Fault::Transient),
    (Error(403, "RequestThrottled"), Fault::Throttled),
    (Error(403, "AccessDenied"), Fault::Denied),
    (Error(400, "QueueDoesNotExist"), Fault::Missing),
    (Error(400, "InvalidAddress"), Fault::Invalid),
];

/// What becomes of the runs after this fault of this resource.
fn expected(resource: Resource, fault: Fault) -> Disposition {
    match (resource, fault) {
        (Resource::DeadLetterQueue, _) => Leave,
        (Resource::ForeignDelta, _) => FailRun,
        (_, Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown) => Keep,
        (Resource::Queue | Resource::Table, _) => Stop,
        (Resource::Pointer, Fault::Unsupported) => Stop,
        (Resource::Delta, Fault::Denied | Fault::Invalid | Fault::Unsupported) => FailRun,
        (Resource::Delta, Fault::TooLarge) => DeadLetter,
        _ => Pause,
    }
}

pub(crate) fn answers(resource: Resource) -> &'static [(Said, Fault)] {
    match resource {
        Resource::Queue | Resource::DeadLetterQueue => OF_SQS,
        Resource::Table | Resource::Lock | Resource::RunRecord => OF_DYNAMODB,
        _ => OF_S3,
    }
}

fn answer(resource: Resource, said: Said) -> Answer {
    match (said, resource) {
        (Nothing, _) => Answer::HangUp,
        (Error(status, code), Resource::Queue | Resource::DeadLetterQueue) => {
            let body = format!("{{\"__type\":\"com.amazonaws.sqs#{code}\",\"message\":\"told\"}}");
            json(status, &body)
        }
        (Error(status, code), Resource::Table | Resource::Lock | Resource::RunRecord) => {
            let name = format!("com.amazonaws.dynamodb.v20120810#{code}");
            json(
                status,
                &format!("{{\"__type\":\"{name}\",\"message\":\"told\"}}"),
            )
        }
        (Error(status, code), _) => xml(status, code),
    }
}

fn key() -> RunKey {
    RunKey::plain("run".parse().unwrap())
}

/// Gets an archive, or the loose files in its place. The answer to a HEAD does not say whether the
/// object or the bucket is missing.
async fn fetch(objects: &dyn ObjectStore, to: &Path) -> Result<(), PortError> {
    match objects.download("words/x/delta.tar.gz", to, 100).await? {
        Some(_) => Ok(()),
        None => objects.list_all("words/x/").await.map(drop),
    }
}

/// Calls the resource as the daemon does.
async fn call(resource: Resource, backend: &AwsBackend, folder: &Path) -> Result<(), PortError> {
    let words: CollectionName = "words".parse().unwrap();
    let file = folder.join("file");
    let (objects, runs) = (&backend.objects, &backend.runs);
    match resource {
        Resource::Pointer => {
            let got = objects.get("words/snapshot/latest-pointer.txt", 100).await;
            got.map(drop)
        }
        Resource::Manifest => objects.get("words/x/manifest.json", 100).await.map(drop),
        Resource::Base | Resource::Delta | Resource::Deltas => fetch(objects.as_ref(), &file).await,
        Resource::ForeignDelta => {
            let other = objects.bucket("another").unwrap();
            fetch(other.as_ref(), &file).await
        }
        Resource::Upload => {
            std::fs::write(&file, "of a version").unwrap();
            let none = Attributes::new();
            let sent = objects.upload("words/x/file", &file, Condition::IfAbsent, &none);
            sent.await.map(drop)
        }
        Resource::Queue => {
            let received = backend
                .queue
                .receive(1, Duration::ZERO, Duration::from_secs(9));
            received.await.map(drop)
        }
        Resource::DeadLetterQueue => {
            let delivery = Delivery {
                receipt: Receipt("receipt".to_owned()),
                message_id: "message".to_owned(),
                body: "body".to_owned(),
                attributes: Attributes::new(),
                receive_count: 1,
                of_queue: None,
            };
            backend
                .queue
                .dead_letter(&delivery, "reason")
                .await
                .map(drop)
        }
        Resource::Table => runs.get(&key()).await.map(drop),
        Resource::Lock => {
            let (owner, term) = (Uuid::from_u128(1), Duration::from_secs(60));
            backend
                .leases
                .acquire(&Lineage::from(&words), owner, term)
                .await
                .map(drop)
        }
        Resource::RunRecord => {
            let completion = Completion {
                merged_vectors: 1,
                ignored_operations: 0,
                version: "20261121_000212_517191_74bfc63c".parse().unwrap(),
                fence: Fence(1),
                at: WallTime(0),
            };
            runs.complete(&key(), &words, &completion).await
        }
        Resource::Scratch | Resource::Log => unreachable!("nothing of the machine is on the wire"),
    }
}

/// The fault of the answer, or `OutcomeUnknown` for a write that may have been done.
fn fault_of(resource: Resource, said: Said, fault: Fault) -> Fault {
    let is_write = matches!(
        resource,
        Resource::Upload | Resource::RunRecord | Resource::DeadLetterQueue
    );
    let is_open = matches!(said, Nothing | Error(500..=599, _)) && fault != Fault::Unsupported;
    match is_write && is_open {
        true => Fault::OutcomeUnknown,
        false => fault,
    }
}

async fn check(resource: Resource, said: Said, fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    // As often as the SDK may try.
    let (_stub, backend) = told((0..20).map(|_| answer(resource, said))).await;
    let what = format!("{resource:?} {said:?}");
    let error = call(resource, &backend, folder.path()).await.unwrap_err();
    let possible = [fault, fault_of(resource, said, fault)];
    assert!(possible.contains(&error.fault), "{what}: {error:?}");
    let (disposition, _) = of_fault(resource, error.fault);
    assert_eq!(disposition, expected(resource, error.fault), "{what}");
}

async fn check_all(resource: Resource) {
    let all = answers(resource);
    join_all(
        all.iter()
            .map(|(said, fault)| check(resource, *said, *fault)),
    )
    .await;
}

macro_rules! resources {
    ($($name:ident: $resource:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                check_all(Resource::$resource).await;
            }
        )*
    };
}

resources! {
    pointer_faults_are_recognised_on_the_wire: Pointer,
    base_faults_are_recognised_on_the_wire: Base,
    manifest_faults_are_recognised_on_the_wire: Manifest,
    upload_faults_are_recognised_on_the_wire: Upload,
    delta_faults_are_recognised_on_the_wire: Delta,
    all_deltas_faults_are_recognised_on_the_wire: Deltas,
    foreign_delta_faults_are_recognised_on_the_wire: ForeignDelta,
    queue_faults_are_recognised_on_the_wire: Queue,
    dead_letter_queue_faults_are_recognised_on_the_wire: DeadLetterQueue,
    table_faults_are_recognised_on_the_wire: Table,
    lock_faults_are_recognised_on_the_wire: Lock,
    run_record_faults_are_recognised_on_the_wire: RunRecord,
}
