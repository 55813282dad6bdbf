//! Starts the log of a command that does a daemon's work.

use crate::error::CommandError;
use crate::output::{self, Log};
use crate::settings::{LogFormat, RawSettings};

/// Starts the log on standard error; standard output is for results. `RUST_LOG` overrides `log.filter`.
///
/// # Errors
/// The filter cannot be parsed.
pub(super) fn start_logging(settings: &RawSettings) -> Result<(), CommandError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => settings.log.filter.clone(),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .map_err(|error| CommandError::configuration(format!("log.filter `{filter}`: {error}")))?;
    output::log_panics();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(output::stderr_has_colors())
        // It would report an error of writing to standard error on standard error, and panic.
        .log_internal_errors(false)
        .with_writer(Log::start(settings.log.buffer).clone());
    match settings.log.format {
        LogFormat::Text => logs.fmt_fields(output::fields()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
