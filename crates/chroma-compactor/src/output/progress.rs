//! Shows the progress of work that takes longer than a second, if standard error is a terminal.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escaped;
use super::terminal::stderr_is_terminal;

/// How long work may take before a bar appears.
const QUIET: Duration = Duration::from_secs(1);

/// A progress bar over named steps; it disappears when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Dropped with the bar, which ends the thread that waits to show it.
    _working: Sender<()>,
}

impl Progress {
    /// A bar of `steps` steps. With `quiet` it never appears.
    pub(crate) fn new(steps: u64, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::hidden());
        let style = "{spinner} [{bar:24}] {pos}/{len} {msg} ({elapsed})";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        let (working, done) = mpsc::channel::<()>();
        if !quiet && stderr_is_terminal() {
            let shown = bar.clone();
            std::thread::spawn(move || {
                if done.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                    shown.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                    shown.enable_steady_tick(Duration::from_millis(100));
                }
            });
        }
        Self {
            bar,
            _working: working,
        }
    }

    /// Begins the step `what`, and counts the one before as done.
    pub(crate) fn step(&self, what: &str) {
        if !self.bar.message().is_empty() {
            self.bar.inc(1);
        }
        self.say(what);
    }

    /// Shows `what` as the current activity, within the same step.
    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(escaped(what).into_owned());
    }

    /// Sets the number of steps that are done.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
