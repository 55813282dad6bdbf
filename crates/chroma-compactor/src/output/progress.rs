//! Progress of work that takes longer than a second: shown on a terminal, silent when piped.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escaped;
use super::terminal::stderr_is_terminal;

/// What is done sooner needs no bar.
const QUIET: Duration = Duration::from_secs(1);

/// A progress bar over named steps; it disappears when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Dropped with the bar: the thread that would show it ends.
    _working: Sender<()>,
}

impl Progress {
    /// A bar of `steps` steps.
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

    /// Says what is being done now; the step before is done.
    pub(crate) fn step(&self, what: &str) {
        if !self.bar.message().is_empty() {
            self.bar.inc(1);
        }
        self.say(what);
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(escaped(what).into_owned());
    }

    /// Moves to `position` of the steps.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
