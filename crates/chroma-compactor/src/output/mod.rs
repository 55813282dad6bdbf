//! Everything that the program writes to standard output and standard error. Other modules must not print.
//! Text is escaped here, so that no name can send commands to a terminal.

mod fields;
mod log;
mod progress;
mod table;
mod terminal;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use compactor_core::ports::Clock;
use compactor_local::SystemClock;
use serde::Serialize;
use serde_json::json;

use crate::error::CommandError;

pub(crate) use compactor_core::escape::{escaped, escaped_lines};
pub(crate) use fields::fields;
pub(crate) use log::Log;
pub(crate) use progress::Progress;
pub(crate) use table::Table;
pub(crate) use terminal::{stderr_has_colors, stderr_width};

/// How long an ending daemon waits for a slow reader of its standard output.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether everything on standard error is a line of JSON.
static JSON_LINES: AtomicBool = AtomicBool::new(false);

/// Makes everything on standard error a line of JSON from now on.
pub(crate) fn say_json_lines() {
    JSON_LINES.store(true, Ordering::Relaxed);
}

/// Whether everything on standard error is a line of JSON.
pub(crate) fn says_json_lines() -> bool {
    JSON_LINES.load(Ordering::Relaxed)
}

/// Writes one line to standard output. Escapes the text, line breaks included.
///
/// # Errors
/// Standard output cannot be written. A reader that has gone away (`| head`) is no error.
pub(crate) fn line(text: &str) -> Result<(), CommandError> {
    write_line(&escaped(text))
}

/// Writes lines to standard output. The caller escapes names in them with [`escaped`], so that a name cannot
/// forge a line.
///
/// # Errors
/// Standard output cannot be written. A reader that has gone away (`| head`) is no error.
pub(crate) fn lines(text: &str) -> Result<(), CommandError> {
    write_line(&escaped_lines(text))
}

fn write_line(text: &str) -> Result<(), CommandError> {
    match writeln!(std::io::stdout(), "{text}") {
        // A reader like `head` has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CommandError::io),
    }
}

/// Writes the last line of a daemon to standard output. Gives up after three seconds, since a reader that has
/// stopped must not keep the process from ending.
///
/// # Errors
/// Standard output cannot be written, or no thread can start.
pub(crate) fn last_line(text: String) -> Result<(), CommandError> {
    let (sender, written) = mpsc::channel();
    let writer = std::thread::Builder::new().spawn(move || sender.send(write_line(&text)));
    writer.map_err(CommandError::io)?;
    written.recv_timeout(PATIENCE).unwrap_or(Ok(()))
}

/// Formats a value as indented JSON.
///
/// # Errors
/// The value cannot be expressed in JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value)
        .map_err(|error| CommandError::io(std::io::Error::other(error)))
}

/// Writes a value as indented JSON to standard output.
///
/// # Errors
/// The value cannot be expressed in JSON, or standard output cannot be written.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), CommandError> {
    write_line(&to_json(value)?)
}

/// Writes a line to standard error, after the lines that the log has taken. The text may have colours. An
/// error of writing is ignored: there is no other place to report it.
pub(crate) fn error_line(text: &str) {
    error_bytes(format!("{text}\n").as_bytes());
}

/// Writes whole lines to standard error, in one piece so that no other line gets between.
pub(crate) fn error_bytes(lines: &[u8]) {
    let _ = match Log::get() {
        Some(log) => log.clone().write_all(lines),
        None => std::io::stderr().write_all(lines),
    };
}

/// Writes a line in the format of the JSON log that is no event of the log.
pub(crate) fn json_line(level: &str, fields: &serde_json::Value) {
    let line = json!({
        "timestamp": SystemClock::new().wall().to_iso(), "level": level, "fields": fields,
        "target": env!("CARGO_CRATE_NAME"),
    });
    error_line(&line.to_string());
}

/// Writes a warning to standard error, with or without a log.
pub(crate) fn warning(text: &str) {
    match says_json_lines() {
        true => json_line("WARN", &json!({"message": text})),
        false => error_line(&format!("warning: {}", escaped_lines(text))),
    }
}

/// Sends panics through the log, so that they keep its format and its order, and do not wait for its reader.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let is_traced = trace.status() == std::backtrace::BacktraceStatus::Captured;
        let trace = is_traced.then(|| trace.to_string());
        match says_json_lines() {
            true => {
                let fields = json!({"message": panic.to_string(), "backtrace": trace});
                json_line("ERROR", &fields);
            }
            false => {
                let trace = trace.map(|trace| format!("\n{trace}"));
                error_line(&format!("{panic}{}", trace.unwrap_or_default()));
            }
        }
        // The process may end with this panic.
        if let Some(log) = Log::get() {
            log.end();
        }
    }));
}
