//! How the errors of the libraries become errors of a command. The libraries choose the code and the
//! text; what is added here is the exit status, and the next step where the library names none.

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Fault, PortError};
use compactor_local::OpenError;

use super::{CommandError, EXIT_CONFIGURATION, EXIT_FAILURE};

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let message = match &error {
            StoreError::Io(source) => source.to_string(),
            other => other.to_string(),
        };
        let shown = Self::new(error.code(), message, EXIT_FAILURE).with_help(error.help());
        match error {
            StoreError::Sqlite { source, .. } => shown.caused_by(source),
            _ => shown,
        }
    }
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        let help = match error.fault {
            Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => "try again",
            Fault::Full | Fault::TooLarge | Fault::Corrupt => {
                "make room, or repair what the message names, then try again"
            }
            Fault::Invalid => "correct the value that the message names",
            Fault::Denied | Fault::Missing | Fault::Unsupported => {
                "check that what the message names exists, and that you have access to it"
            }
        };
        Self::new(error.code(), error.to_string(), exit_of(error.fault))
            .with_help(help)
            .caused_by(error)
    }
}

/// The exit status for a fault of a service that every run needs: 78 if a name or a setting is wrong, 1 if
/// the same command may succeed later.
fn exit_of(fault: Fault) -> u8 {
    match fault {
        Fault::Missing | Fault::Invalid | Fault::Unsupported => EXIT_CONFIGURATION,
        Fault::Transient
        | Fault::Throttled
        | Fault::OutcomeUnknown
        | Fault::Denied
        | Fault::Full
        | Fault::TooLarge
        | Fault::Corrupt => EXIT_FAILURE,
    }
}

#[cfg(feature = "aws")]
impl From<compactor_aws::ConnectError> for CommandError {
    fn from(error: compactor_aws::ConnectError) -> Self {
        use compactor_aws::ConnectError;
        match error {
            ConnectError::Queue(error) => error.into(),
            ConnectError::Environment { .. } => {
                Self::new(error.code(), error.to_string(), EXIT_CONFIGURATION)
                    .with_help("correct the environment variable, or unset it")
            }
            ConnectError::Unnamed { .. } => {
                Self::new(error.code(), error.to_string(), EXIT_CONFIGURATION).with_help(
                    "set it in the [aws] section, or in the environment variables of the AWS SDK",
                )
            }
            ConnectError::Credentials { .. } => {
                let help = "give the process a role, a profile (AWS_PROFILE) or access keys, and renew \
                            expired ones: docs/aws.md";
                Self::new(error.code(), error.to_string(), EXIT_FAILURE).with_help(help)
            }
        }
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        let mut message = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            message = format!("{message}: {cause}");
        }
        Self::new(error.code(), message, EXIT_FAILURE).with_help(error.help())
    }
}

impl From<compactor_daemon::Error> for CommandError {
    fn from(error: compactor_daemon::Error) -> Self {
        let exit = exit_of_port(error.port());
        Self::new(error.code(), error.with_causes(), exit).with_help(error.help())
    }
}

impl From<compactor_snapshots::Error> for CommandError {
    fn from(error: compactor_snapshots::Error) -> Self {
        compactor_daemon::Error::from(error).into()
    }
}

/// The exit code of an error that is this port call's, if it is one.
fn exit_of_port(port: Option<(Resource, &PortError)>) -> u8 {
    match port {
        // A producer or this machine is at fault, not the configuration.
        None
        | Some((
            Resource::Delta
            | Resource::Deltas
            | Resource::ForeignDelta
            | Resource::Scratch
            | Resource::Log,
            _,
        )) => EXIT_FAILURE,
        Some((
            Resource::Pointer
            | Resource::Base
            | Resource::Manifest
            | Resource::Upload
            | Resource::Queue
            | Resource::DeadLetterQueue
            | Resource::Table
            | Resource::Lock
            | Resource::RunRecord,
            error,
        )) => exit_of(error.fault),
    }
}
