//! Everything that is written to the terminal goes through here.

mod progress;
mod table;

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        // The reader went away (`| head`): nothing more to say, nothing wrong.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::io),
    }
}

/// Writes a value as JSON to standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::io(std::io::Error::other(error)))?;
    line(&text)
}

/// Writes a line to standard error; there is nowhere to report a failure of that.
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
