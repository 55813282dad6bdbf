//! Formats the fields of log events as text. It escapes them, so that text from a message or a delta cannot
//! forge a line of the log.

use std::fmt::Debug;

use compactor_core::escape::{escaped, without_passwords};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// tracing's name of the field with the event's text.
const MESSAGE: &str = "message";

/// Formats fields as `name=value`, separated by spaces.
pub(crate) fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    debug_fn(write).delimited(" ")
}

fn write(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let text = without_passwords(&text);
    let text = escaped(&text);
    match field.name() {
        MESSAGE => write!(writer, "{text}"),
        name if writer.has_ansi_escapes() => {
            write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{text}")
        }
        name => write!(writer, "{name}={text}"),
    }
}
