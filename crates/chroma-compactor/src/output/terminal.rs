//! What standard error can show: whether it is a terminal, its colours and its width.

use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};

/// Columns to assume where standard error is no terminal.
const WIDTH: usize = 200;
/// Fewest columns that text is wrapped to; narrower text cannot be read.
const NARROWEST: usize = 20;

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether to write colours to standard error: by the same rules as for the help (`NO_COLOR`, `TERM`, …).
pub(crate) fn stderr_has_colors() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// The width of standard error in columns.
pub(crate) fn stderr_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(WIDTH, |(width, _)| usize::from(width.0).max(NARROWEST))
}
