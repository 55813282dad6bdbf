//! Everything that is written to the terminal goes through here.

mod log;
mod progress;
mod table;

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;

pub(crate) use log::Log;
pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// How long the end of a daemon waits for whoever reads its result.
const PATIENCE: Duration = Duration::from_secs(3);

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        // The reader went away (`| head`): nothing more to say, nothing wrong.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::io),
    }
}

/// Writes the last line of a daemon to standard output. Where nobody reads it, the process must end
/// all the same: that counts as a reader that went away.
pub(crate) fn last_line(text: String) -> Result<(), Failure> {
    let (sender, written) = mpsc::channel();
    let writer = std::thread::Builder::new().spawn(move || sender.send(line(&text)));
    writer.map_err(Failure::io)?;
    written.recv_timeout(PATIENCE).unwrap_or(Ok(()))
}

/// A value as JSON for people and programs.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::io(std::io::Error::other(error)))
}

/// Writes a value as JSON to standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    line(&to_json(value)?)
}

/// Writes a line to standard error, after what the log has said; there is nowhere to report a failure
/// of that.
pub(crate) fn error_line(text: &str) {
    error_bytes(format!("{text}\n").as_bytes());
}

/// Writes whole lines to standard error, in one piece.
pub(crate) fn error_bytes(lines: &[u8]) {
    let _ = match Log::get() {
        Some(log) => log.clone().write_all(lines),
        None => std::io::stderr().write_all(lines),
    };
}

/// A panic must not wait for the reader of the log either.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let is_traced = trace.status() == std::backtrace::BacktraceStatus::Captured;
        let trace = is_traced.then(|| format!("\n{trace}"));
        error_line(&format!("{panic}{}", trace.unwrap_or_default()));
        // It may be the end.
        if let Some(log) = Log::get() {
            log.end();
        }
    }));
}

pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
