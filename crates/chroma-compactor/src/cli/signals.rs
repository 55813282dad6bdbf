//! What SIGTERM and Ctrl-C (SIGINT) do to a running command.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::CommandError;
use crate::output::Log;

/// The exit status of an interrupted command: 128 + SIGINT, as shells report it.
pub(super) const EXIT_INTERRUPTED: i32 = 130;

/// The signals that ask a process to end. It keeps every signal that arrives after it was made.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen. It needs a Tokio runtime.
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub(super) fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(CommandError::io)?,
            interrupt: signal(SignalKind::interrupt()).map_err(CommandError::io)?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Cancels `stop` on the first signal, so that the daemon shuts down in order. A Ctrl-C after that ends the
/// process as soon as the tasks that `settling` tracks have ended. A second SIGTERM changes nothing: some
/// programs (`timeout`) send it twice, and an orderly shutdown has a time limit.
///
/// # Errors
/// The operating system refuses a handler.
pub(super) fn cancel_on_signal(
    stop: CancellationToken,
    settling: TaskTracker,
) -> Result<(), CommandError> {
    let mut signals = StopSignals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        // Before the log line, which may have to wait for the reader of the log.
        stop.cancel();
        tracing::info!("stopping; press Ctrl-C again to stop sooner");
        signals.interrupt.recv().await;
        settling.close();
        settling.wait().await;
        if let Some(log) = Log::get() {
            log.end();
        }
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(())
}
