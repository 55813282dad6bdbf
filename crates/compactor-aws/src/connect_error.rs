//! Why the backend cannot connect to AWS.

use compactor_core::ports::PortError;
use thiserror::Error;

use crate::fault::is_of_credentials;

/// An error of the configuration or of the first calls to AWS.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// A required option is empty.
    #[error("no {option} is named")]
    Unnamed {
        /// The name of the option: `bucket`, `table`, `queue` or `region`.
        option: &'static str,
    },
    /// The SDK finds no credentials, or the services do not accept those that it finds.
    #[error("there are no credentials that can be used: {reason}")]
    Credentials {
        /// The message of the SDK or of the service.
        reason: String,
    },
    /// A variable of the environment cannot be used.
    #[error("{variable}: {reason}")]
    Environment {
        /// The name of the variable.
        variable: &'static str,
        /// Why its value cannot be used. Never has the value itself where it may hold a password.
        reason: String,
    },
    /// A queue cannot be read, or has no dead-letter queue.
    #[error(transparent)]
    Queue(PortError),
}

impl From<PortError> for ConnectError {
    fn from(error: PortError) -> Self {
        match is_of_credentials(&error) {
            true => Self::Credentials {
                reason: error.reason,
            },
            false => Self::Queue(error),
        }
    }
}

impl ConnectError {
    /// The stable code of this error, listed in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unnamed { .. } => "CC-AWS-UNNAMED",
            Self::Credentials { .. } => "CC-AWS-CREDENTIALS",
            Self::Environment { .. } => "CC-AWS-ENVIRONMENT",
            Self::Queue(error) => error.code(),
        }
    }
}
