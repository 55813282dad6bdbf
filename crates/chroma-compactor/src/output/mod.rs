//! Everything that is written to the terminal goes through here.

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

/// How long an ending daemon waits for the reader of its standard output.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether standard error has lines of JSON only.
static JSON_LINES: AtomicBool = AtomicBool::new(false);

/// From now on everything on standard error is a line of JSON.
pub(crate) fn say_json_lines() {
    JSON_LINES.store(true, Ordering::Relaxed);
}

pub(crate) fn says_json_lines() -> bool {
    JSON_LINES.load(Ordering::Relaxed)
}

/// Writes one line to standard output.
pub(crate) fn line(text: &str) -> Result<(), CommandError> {
    write_line(&escaped(text))
}

/// Writes lines to standard output. Names in the text must not make lines: [`escaped`].
pub(crate) fn lines(text: &str) -> Result<(), CommandError> {
    write_line(&escaped_lines(text))
}

fn write_line(text: &str) -> Result<(), CommandError> {
    match writeln!(std::io::stdout(), "{text}") {
        // The reader went away (`| head`): nothing more to say, nothing wrong.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CommandError::io),
    }
}

/// Writes the last line of a daemon to standard output. Where nobody reads it, the process must end
/// all the same: that counts as a reader that went away.
pub(crate) fn last_line(text: String) -> Result<(), CommandError> {
    let (sender, written) = mpsc::channel();
    let writer = std::thread::Builder::new().spawn(move || sender.send(write_line(&text)));
    writer.map_err(CommandError::io)?;
    written.recv_timeout(PATIENCE).unwrap_or(Ok(()))
}

/// A value as JSON for people and programs.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value)
        .map_err(|error| CommandError::io(std::io::Error::other(error)))
}

/// Writes a value as JSON to standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), CommandError> {
    write_line(&to_json(value)?)
}

/// Writes a line to standard error, after what the log has said; there is nowhere to report a failure
/// of that. The text may have colours.
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

/// Writes what is no event of the log as a line that looks like one.
pub(crate) fn json_line(level: &str, fields: &serde_json::Value) {
    let line = json!({
        "timestamp": SystemClock::new().wall().to_iso(), "level": level, "fields": fields,
        "target": env!("CARGO_CRATE_NAME"),
    });
    error_line(&line.to_string());
}

/// Warns of something, whether there is a log or not.
pub(crate) fn warning(text: &str) {
    match says_json_lines() {
        true => json_line("WARN", &json!({"message": text})),
        false => error_line(&format!("warning: {}", escaped_lines(text))),
    }
}

/// A panic must not wait for the reader of the log either, nor break its form.
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
        // It may be the end.
        if let Some(log) = Log::get() {
            log.end();
        }
    }));
}
