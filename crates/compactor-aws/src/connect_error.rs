//! Why the backend cannot connect to AWS.

use compactor_core::ports::PortError;
use thiserror::Error;

use crate::fault::is_of_credentials;

/// Why AWS cannot be used.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Something has to be named that is not.
    #[error("no {option} is named")]
    Unnamed {
        /// The option.
        option: &'static str,
    },
    /// The SDK finds no credentials, or the services do not accept those that it finds.
    #[error("there are no credentials that can be used: {reason}")]
    Credentials {
        /// What the SDK or the service says.
        reason: String,
    },
    /// A variable of the environment cannot be used.
    #[error("{variable}: {reason}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is wrong with what it says.
        reason: String,
    },
    /// The queue cannot be used.
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
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unnamed { .. } => "CC-AWS-UNNAMED",
            Self::Credentials { .. } => "CC-AWS-CREDENTIALS",
            Self::Environment { .. } => "CC-AWS-ENVIRONMENT",
            Self::Queue(error) => error.code(),
        }
    }
}
