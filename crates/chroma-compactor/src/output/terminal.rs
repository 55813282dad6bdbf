//! What standard error is connected to.

use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};

/// Where nobody can tell.
const WIDTH: usize = 200;
/// Narrower than that nothing can be read.
const NARROWEST: usize = 20;

pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours are wanted there: by the same rules as in the help (`NO_COLOR`, `TERM`, …).
pub(crate) fn stderr_has_colors() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Columns of standard error.
pub(crate) fn stderr_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(WIDTH, |(width, _)| usize::from(width.0).max(NARROWEST))
}
