//! Errors as the user sees them: code, cause, next step, exit status.

use std::fmt;
use std::path::Path;

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Fault, PortError};
use compactor_local::OpenError;

/// The command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    exit: u8,
}

/// `EX_CONFIG` of sysexits.
const EXIT_CONFIGURATION: u8 = 78;
/// `EX_USAGE` of sysexits is clap's 2 here.
const EXIT_USAGE: u8 = 2;
const EXIT_FAILURE: u8 = 1;
/// Where nothing better can be said of a wrong setting.
const FIX_CONFIGURATION: &str = "config/default.toml shows every key with its default; durations \
                                 are written like \"90s\" or \"5m\", sizes like \"512 MiB\"";

impl Failure {
    fn new(code: &str, message: impl Into<String>, exit: u8) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            help: None,
            source: None,
            exit,
        }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new("CC-CONFIG", message, EXIT_CONFIGURATION).with_help(FIX_CONFIGURATION)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("CC-USAGE", message, EXIT_USAGE)
    }

    pub(crate) fn io(error: std::io::Error) -> Self {
        let help = "check that the path exists, is writable, and that the disk has space";
        Self::new("CC-IO", error.to_string(), EXIT_FAILURE)
            .with_help(help)
            .caused_by(error)
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names `known` in place of `path`, which only this program knows.
    pub(crate) fn naming(mut self, path: &Path, known: &Path) -> Self {
        let [path, known] = [path, known].map(|one| one.display().to_string());
        self.message = self.message.replace(&path, &known);
        self
    }

    /// Says first what it is about.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // An I/O error's text is the message already.
        self.source
            .as_deref()
            .filter(|source| source.to_string() != self.message)
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = match &error {
            StoreError::Io(source) => source.to_string(),
            other => other.to_string(),
        };
        let failure = Self::new(error.code(), message, EXIT_FAILURE).with_help(error.help());
        if let StoreError::Sqlite { source, .. } = error {
            failure.caused_by(source)
        } else {
            failure
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        let help = match error.fault {
            Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => "try again",
            Fault::Full | Fault::TooLarge | Fault::Corrupt => {
                "make room or mend what is named, then try again"
            }
            Fault::Invalid => "correct the named value",
            Fault::Denied | Fault::Missing | Fault::Unsupported => {
                "check that the named place exists and that you may use it"
            }
        };
        Self::new(error.code(), error.to_string(), exit_of(error.fault))
            .with_help(help)
            .caused_by(error)
    }
}

/// Of what everybody needs: a name or a setting is wrong, or it is for now that it does not work.
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
impl From<compactor_aws::ConnectError> for Failure {
    fn from(error: compactor_aws::ConnectError) -> Self {
        use compactor_aws::ConnectError;
        match error {
            ConnectError::Queue(error) => error.into(),
            ConnectError::Environment { .. } => {
                Self::new(error.code(), error.to_string(), EXIT_CONFIGURATION)
                    .with_help("correct the variable of the environment, or unset it")
            }
            ConnectError::Unnamed { .. } => {
                Self::new(error.code(), error.to_string(), EXIT_CONFIGURATION)
                    .with_help("set it in the [aws] section, or in the environment of the AWS SDK")
            }
            ConnectError::Credentials { .. } => {
                let help = "give the process a role, a profile (AWS_PROFILE) or keys of the AWS \
                            SDK, and renew those that have expired: docs/aws.md";
                Self::new(error.code(), error.to_string(), EXIT_FAILURE).with_help(help)
            }
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let mut message = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            message = format!("{message}: {cause}");
        }
        Self::new(error.code(), message, EXIT_FAILURE).with_help(error.help())
    }
}

impl From<compactor_daemon::Error> for Failure {
    fn from(error: compactor_daemon::Error) -> Self {
        let exit = exit_of_port(error.port());
        Self::new(error.code(), error.with_causes(), exit).with_help(error.help())
    }
}

impl From<compactor_snapshots::Error> for Failure {
    fn from(error: compactor_snapshots::Error) -> Self {
        compactor_daemon::Error::from(error).into()
    }
}

/// The exit code of an error that is this port call's, if it is one.
fn exit_of_port(port: Option<(Resource, &PortError)>) -> u8 {
    match port {
        // Of a producer, or of this machine.
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
