//! Maps errors of the SDK to the faults of a port.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use compactor_core::ports::{Fault, PortError, PortResult};
use thiserror::Error;

/// Marks an error for lack of credentials that the services accept: every other call would fail too.
#[derive(Debug, Error)]
#[error(transparent)]
struct NoCredentials(Box<dyn Error + Send + Sync>);

/// Whether a call failed for lack of credentials that the services accept.
pub(crate) fn is_of_credentials(error: &PortError) -> bool {
    let source = error.source.as_deref();
    source.is_some_and(|source| source.is::<NoCredentials>())
}

/// Whether a call that got no answer may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Yes: applied twice, it has the same effect.
    Harmless,
    /// No: it may have been applied, and a repetition would have another effect or answer.
    Unknown,
}

/// The error of a port call for an error of the SDK.
pub(crate) fn port_error<E>(
    operation: &'static str,
    target: &str,
    repeat: Repeat,
    error: SdkError<E, HttpResponse>,
) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let fault = fault(&error, repeat);
    let reason = reason(&error);
    let failed = PortError::new(operation, target, fault, reason);
    match lacks_credentials(&error) || code(&error).is_some_and(is_of_identity) {
        true => failed.with_source(NoCredentials(Box::new(error))),
        // The reason has the innermost cause, which the errors around it only repeat.
        false => failed,
    }
}

fn fault<E>(error: &SdkError<E, HttpResponse>, repeat: Repeat) -> Fault
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let lost = match repeat {
        Repeat::Harmless => Fault::Transient,
        Repeat::Unknown => Fault::OutcomeUnknown,
    };
    match error {
        // Nothing was sent.
        _ if lacks_credentials(error) => Fault::Denied,
        SdkError::ConstructionFailure(_) => Fault::Invalid,
        SdkError::DispatchFailure(failure) if failure.is_user() => Fault::Invalid,
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or_default();
            of_answer(status, code, lost)
        }
        _ => lost,
    }
}

/// Whether the SDK found no credentials. A slow source of credentials does not count.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    use CredentialsError::{CredentialsNotLoaded, InvalidConfiguration};
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(CredentialsNotLoaded(_) | InvalidConfiguration(_)) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The code without the namespace that some services put in front.
fn without_namespace(code: &str) -> &str {
    code.rsplit(['#', '.']).next().unwrap_or(code)
}

/// Whether a service does not accept the caller's credentials. A missing right is another code.
fn is_of_identity(code: &str) -> bool {
    matches!(
        without_namespace(code),
        "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignatureException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSecurity"
            | "InvalidSignatureException"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
    )
}

/// The fault for an answer: by the service's code where that says more than the status.
fn of_answer(status: u16, code: &str, lost: Fault) -> Fault {
    let code = without_namespace(code);
    if is_of_identity(code) {
        return Fault::Denied;
    }
    match code {
        "NoSuchBucket" | "QueueDoesNotExist" | "NonExistentQueue" | "ResourceNotFoundException" => {
            Fault::Missing
        }
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "KmsThrottled"
        | "OverLimit" => {
            // A store under load may have applied the write before it failed to answer.
            if lost == Fault::OutcomeUnknown && status >= 500 {
                lost
            } else {
                Fault::Throttled
            }
        }
        // By the code, because DynamoDB answers 400 to all of them.
        "AccessDenied" | "AccessDeniedException" | "KmsAccessDenied" => Fault::Denied,
        // Also within an answer with status 200.
        "InternalError" | "InternalFailure" | "InternalServerError" | "ServiceUnavailable" => lost,
        "NotImplemented" => Fault::Unsupported,
        // The service did not receive what was sent.
        "BadDigest"
        | "InvalidDigest"
        | "RequestTimeout"
        | "IncompleteBody"
        | "TransactionConflictException" => Fault::Transient,
        _ => match status {
            401 | 403 => Fault::Denied,
            429 => Fault::Throttled,
            501 => Fault::Unsupported,
            500..=599 => lost,
            _ => Fault::Invalid,
        },
    }
}

/// The service's code and message if it answered, else the innermost cause.
fn reason<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let SdkError::ServiceError(answer) = error {
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or("no code");
        let message = answer.err().message().unwrap_or("no message");
        return format!("{code} ({status}): {message}");
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match (error, innermost.to_string()) {
        (SdkError::TimeoutError(_), _) => "no answer in time".to_owned(),
        (_, cause) => cause,
    }
}

/// Whether a conditional write took effect: `false` if its condition did not hold.
pub(crate) fn unless_refused<T, E>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    other: impl FnOnce(SdkError<E, HttpResponse>) -> PortError,
) -> PortResult<bool>
where
    E: ProvideErrorMetadata,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(other(error)),
    }
}

/// The service's code, if it answered with an error.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// The status of an answer that is an error.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_code_decides_the_fault_before_the_http_status() {
        use Fault::{Denied, Invalid, Missing, OutcomeUnknown, Throttled, Transient, Unsupported};
        for (status, code, lost, fault) in [
            (404, "NoSuchBucket", Transient, Missing),
            (
                400,
                "AWS.SimpleQueueService.NonExistentQueue",
                Transient,
                Missing,
            ),
            (
                400,
                "com.amazonaws.dynamodb#ResourceNotFoundException",
                Transient,
                Missing,
            ),
            (503, "SlowDown", Transient, Throttled),
            (503, "SlowDown", OutcomeUnknown, OutcomeUnknown),
            (400, "ThrottlingException", OutcomeUnknown, Throttled),
            (400, "ExpiredToken", Transient, Denied),
            (403, "AccessDenied", OutcomeUnknown, Denied),
            (
                400,
                "com.amazon.coral.service#AccessDeniedException",
                Transient,
                Denied,
            ),
            (200, "InternalError", OutcomeUnknown, OutcomeUnknown),
            (400, "BadDigest", OutcomeUnknown, Transient),
            (500, "InternalError", Transient, Transient),
            (500, "InternalError", OutcomeUnknown, OutcomeUnknown),
            (429, "", Transient, Throttled),
            (400, "EntityTooLarge", Transient, Invalid),
            (501, "NotImplemented", OutcomeUnknown, Unsupported),
            (501, "", OutcomeUnknown, Unsupported),
            (301, "PermanentRedirect", OutcomeUnknown, Invalid),
            (400, "AuthorizationHeaderMalformed", OutcomeUnknown, Invalid),
        ] {
            assert_eq!(of_answer(status, code, lost), fault, "{status} {code}");
        }
    }
}
