//! Writes the error that ends a command to standard error: as text, as one JSON object, or as a line of
//! the JSON log. It masks passwords and escapes what a terminal would obey.

use std::fmt;

use compactor_core::escape::without_passwords;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::error::CommandError;
use crate::output;

/// Writes `error` to standard error: as one JSON object if the command was asked for JSON, as a line of
/// the log if the log is JSON, as text otherwise.
pub(crate) fn report(error: &CommandError, json: bool) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let message = error.to_string();
    let [message, cause] =
        [Some(&message), cause.as_ref()].map(|text| text.map(|text| without_passwords(text)));
    let fields = serde_json::json!({
        "code": error.code(), "message": message, "help": error.help(), "cause": cause,
    });
    if json {
        let value = serde_json::json!({ "error": fields });
        return output::error_line(&value.to_string());
    }
    if output::says_json_lines() {
        return output::json_line("ERROR", &fields);
    }
    let theme = if output::stderr_has_colors() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(output::stderr_width());
    let mut text = String::new();
    if handler.render_report(&mut text, &Plain::of(error)).is_ok() {
        output::error_line(text.trim_end());
    }
}

/// The error without what a terminal would obey. The rendered report cannot be escaped as a whole,
/// since it may contain colours of its own.
#[derive(Debug)]
struct Plain {
    code: String,
    message: String,
    help: Option<String>,
    cause: Option<Cause>,
}

impl Plain {
    fn of(error: &CommandError) -> Self {
        Self {
            code: error.code().to_owned(),
            message: plain(&error.to_string()),
            help: error.help().map(plain),
            cause: std::error::Error::source(error).map(Cause::of),
        }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Plain {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // A cause that only repeats the message adds nothing.
        let cause = self.cause.as_ref()?;
        (cause.0 != self.message).then_some(cause)
    }
}

impl Diagnostic for Plain {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }
}

fn plain(text: &str) -> String {
    output::escaped_lines(&without_passwords(text)).into_owned()
}

/// The text of a cause, and its own cause.
#[derive(Debug)]
struct Cause(String, Option<Box<Self>>);

impl Cause {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let text = plain(&error.to_string());
        Self(
            text,
            error.source().map(|source| Box::new(Self::of(source))),
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.1.as_deref()?;
        Some(source)
    }
}
