//! SIGTERM and Ctrl-C: what they do to a command that is at work.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::CommandError;
use crate::output::Log;

/// 128 + SIGINT, as shells report it.
pub(super) const EXIT_INTERRUPTED: i32 = 130;

/// The signals that ask for an end. None is lost from the moment on that this is made.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen; to be called within a runtime.
    pub(super) fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(CommandError::io)?,
            interrupt: signal(SignalKind::interrupt()).map_err(CommandError::io)?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The first signal stops in order. SIGTERM is sent twice by programs that mean it once (`timeout`), and
/// stopping in order ends in time. A person who presses Ctrl-C after that means at once: but not before
/// what `settling` tracks is over.
pub(super) fn cancel_on_signal(
    stop: CancellationToken,
    settling: TaskTracker,
) -> Result<(), CommandError> {
    let mut signals = StopSignals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        // First: whoever closed the log must still be able to stop us.
        stop.cancel();
        tracing::info!("stopping; Ctrl-C to stop at once");
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
