//! The error that ends a command, as its user sees it: a code, what went wrong, the next step, and the exit
//! status. It holds texts only; `report` writes them.

mod conversions;

use std::fmt;
use std::path::Path;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// A code that docs/errors.md explains, such as `CC-IO`.
    code: String,
    message: String,
    /// What the user can do next.
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The exit status of the process.
    exit: u8,
}

/// `EX_CONFIG` of sysexits.h. Supervisors need not restart a process that ends with it.
const EXIT_CONFIGURATION: u8 = 78;
/// The same status that clap exits with, rather than `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 2;
const EXIT_FAILURE: u8 = 1;
/// The next step for a wrong setting that has no help of its own.
const FIX_CONFIGURATION: &str = "config/default.toml shows every key with its default; durations \
                                 are written like \"90s\" or \"5m\", sizes like \"512 MiB\"";

impl CommandError {
    fn new(code: &str, message: impl Into<String>, exit: u8) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            help: None,
            source: None,
            exit,
        }
    }

    /// Settings that cannot be used: `CC-CONFIG`, exit status 78.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new("CC-CONFIG", message, EXIT_CONFIGURATION).with_help(FIX_CONFIGURATION)
    }

    /// A command line that asks for something impossible: `CC-USAGE`, exit status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("CC-USAGE", message, EXIT_USAGE)
    }

    /// An operation on a file, folder or stream of this machine that failed: `CC-IO`, exit status 1.
    pub(crate) fn io(error: std::io::Error) -> Self {
        let help = "check that the path exists and is writable, and that the disk has space";
        Self::new("CC-IO", error.to_string(), EXIT_FAILURE)
            .with_help(help)
            .caused_by(error)
    }

    /// Replaces the next step that the user is advised to take.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Replaces `path` in the message, which only this program knows, by `known`, which the user named.
    pub(crate) fn naming(mut self, path: &Path, known: &Path) -> Self {
        let [path, known] = [path, known].map(|one| one.display().to_string());
        self.message = self.message.replace(&path, &known);
        self
    }

    /// Puts `what` in front of the message.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The code that docs/errors.md explains.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What the user can do next, if the error tells.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The exit status that the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message of an I/O error is the text of its source.
        self.source
            .as_deref()
            .filter(|source| source.to_string() != self.message)
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
