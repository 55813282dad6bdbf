//! Answers of AWS that no emulator gives: conflicts, refusals under load, lost answers, receipts
//! that have run out. The SDK reads them from a real socket.

use std::sync::Arc;
use std::time::Duration;

use compactor_aws::{AwsBackend, AwsOptions};
use compactor_core::ports::{
    Acquired, Attributes, Condition, ETag, Fault, Held, LeaseStore, ObjectStore, PortResult,
    PutOutcome, Receipt,
};
use compactor_local::{RandomIds, SystemClock};
use compactor_testkit::cloud::{config, connect, options};
use uuid::Uuid;

use crate::stub::{Answer, Stub};

/// Requests that opening the queue takes.
const OPENING: usize = 2;

pub(crate) fn json(status: u16, body: &str) -> Answer {
    Answer::Is(
        status,
        "Content-Type: application/x-amz-json-1.0\r\n",
        body.to_owned(),
    )
}

pub(crate) fn xml(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>as told</Message></Error>");
    Answer::Is(status, "Content-Type: application/xml\r\n", body)
}

fn written() -> Answer {
    Answer::Is(200, "ETag: \"abc\"\r\n", String::new())
}

fn sqs_error(code: &str, message: &str) -> Answer {
    json(
        400,
        &format!("{{\"__type\":\"com.amazonaws.sqs#{code}\",\"message\":\"{message}\"}}"),
    )
}

/// A backend whose requests get `answers`, once its queue is open.
pub(crate) async fn told(answers: impl IntoIterator<Item = Answer>) -> (Stub, AwsBackend) {
    let policy =
        r#"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:1:dead\",\"maxReceiveCount\":3}"#;
    let opening = [
        json(
            200,
            &format!("{{\"Attributes\":{{\"RedrivePolicy\":\"{policy}\"}}}}"),
        ),
        json(200, "{\"QueueUrl\":\"http://127.0.0.1:9/dead\"}"),
    ];
    let stub = Stub::new(opening.into_iter().chain(answers)).await;
    let queue = format!("{}/1/queue", stub.endpoint);
    let options = AwsOptions {
        delta_buckets: vec!["another".to_owned()],
        ..options(&stub.endpoint, "told", &queue)
    };
    let backend = connect(&config(&stub.endpoint), options).await;
    (stub, backend)
}

async fn put(backend: &AwsBackend, condition: Condition) -> PortResult<PutOutcome> {
    let body = "20261121_000212_517191_74bfc63c".into();
    let key = "lines/snapshot/latest-pointer.txt";
    backend
        .objects
        .put(key, body, condition, &Attributes::new())
        .await
}

fn if_match() -> Condition {
    Condition::IfMatch(ETag("\"abc\"".to_owned()))
}

#[tokio::test]
async fn conflicting_put_is_a_conflict_and_not_a_refusal() {
    let (stub, backend) = told([xml(409, "ConditionalRequestConflict")]).await;
    assert_eq!(
        put(&backend, if_match()).await.unwrap(),
        PutOutcome::Conflict
    );
    assert_eq!(stub.requests(), OPENING + 1);
}

/// The caller finds out what the put did. If the SDK repeated a put that succeeded, the condition
/// would refuse the repetition.
#[tokio::test]
async fn failed_conditional_put_is_not_repeated_and_its_outcome_is_unknown() {
    for answer in [
        xml(503, "SlowDown"),
        xml(500, "InternalError"),
        Answer::HangUp,
    ] {
        let (stub, backend) = told([answer]).await;
        let error = put(&backend, if_match()).await.unwrap_err();
        assert_eq!(error.fault, Fault::OutcomeUnknown, "{error}");
        assert_eq!(stub.requests(), OPENING + 1);
    }
}

#[tokio::test]
async fn failed_unconditional_put_is_repeated() {
    let (stub, backend) = told([xml(503, "SlowDown"), Answer::HangUp, written()]).await;
    let etag = ETag("\"abc\"".to_owned());
    let outcome = put(&backend, Condition::Always).await.unwrap();
    assert_eq!(outcome, PutOutcome::Written(etag));
    assert_eq!(stub.requests(), OPENING + 3);
}

#[tokio::test]
async fn lasting_503_is_reported_as_throttled_or_transient() {
    let (_, backend) = told((0..9).map(|_| xml(503, "SlowDown"))).await;
    let error = backend.objects.head("lines/x").await.unwrap_err();
    assert!(
        matches!(error.fault, Fault::Throttled | Fault::Transient),
        "{error}"
    );
    let (_, backend) = told((0..9).map(|_| xml(503, "SlowDown"))).await;
    let error = backend.objects.get("lines/x", 10).await.unwrap_err();
    assert_eq!(error.fault, Fault::Throttled, "{error}");
}

#[tokio::test]
async fn access_denied_is_reported_as_denied() {
    let (_, backend) = told([xml(403, "AccessDenied")]).await;
    let error = put(&backend, if_match()).await.unwrap_err();
    assert_eq!(error.fault, Fault::Denied, "{error}");
}

/// Every service would refuse them, so the error does not blame the queue.
#[tokio::test]
async fn rejected_credentials_are_reported_as_missing_credentials() {
    for (code, expected) in [
        ("InvalidClientTokenId", "CC-AWS-CREDENTIALS"),
        ("ExpiredToken", "CC-AWS-CREDENTIALS"),
        ("AccessDeniedException", "CC-PORT-DENIED"),
    ] {
        let stub = Stub::new([sqs_error(code, "as told")]).await;
        let options = options(
            &stub.endpoint,
            "told",
            &format!("{}/1/queue", stub.endpoint),
        );
        let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(RandomIds));
        let opened = AwsBackend::with(&config(&stub.endpoint), options, clock, ids).await;
        let error = opened.err().unwrap();
        assert_eq!(error.code(), expected, "{error}");
        assert!(error.to_string().contains("as told"), "{error}");
    }
}

#[tokio::test]
async fn truncated_body_is_a_transient_error() {
    let (_, backend) = told([Answer::Half("whole".to_owned())]).await;
    let error = backend.objects.get("lines/x", 10).await.unwrap_err();
    assert_eq!(error.fault, Fault::Transient, "{error}");
}

#[tokio::test]
async fn extending_an_expired_receipt_holds_nothing() {
    let receipt = Receipt("receipt".to_owned());
    let minute = Duration::from_secs(60);
    for answer in [
        sqs_error("MessageNotInflight", "it is not in flight"),
        sqs_error("ReceiptHandleIsInvalid", "no such receipt"),
        sqs_error(
            "InvalidParameterValueException",
            "Value receipt for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
        ),
    ] {
        let (_, backend) = told([answer]).await;
        assert_eq!(
            backend.queue.extend(&receipt, minute).await.unwrap(),
            Held::No
        );
    }
    let (_, backend) = told([sqs_error(
        "InvalidParameterValueException",
        "VisibilityTimeout",
    )])
    .await;
    let error = backend.queue.extend(&receipt, minute).await.unwrap_err();
    assert_eq!(error.fault, Fault::Invalid, "{error}");
}

#[tokio::test]
async fn throttled_table_request_is_repeated() {
    let throttled = json(
        400,
        "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException\",\"message\":\"slow\"}",
    );
    let (stub, backend) = told([throttled, json(200, "{}"), json(200, "{}")]).await;
    let acquired = backend
        .leases
        .acquire(
            &"words".parse().unwrap(),
            Uuid::from_u128(1),
            Duration::from_secs(60),
        )
        .await;
    assert_eq!(acquired.unwrap(), Acquired::Held);
    assert_eq!(
        stub.requests(),
        OPENING + 3,
        "one of two locks was asked for twice"
    );
}
