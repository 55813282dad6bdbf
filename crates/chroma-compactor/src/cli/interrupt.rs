//! Ctrl-C and SIGTERM during offline work: they remove the unfinished result, and end the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::Runtime;

use super::signals::{EXIT_INTERRUPTED, StopSignals};
use crate::error::CommandError;
use crate::output;

/// How often removal is tried: a thread that still writes into a folder can make it fail.
const REMOVALS: u32 = 1000;

/// Listens for Ctrl-C and SIGTERM. It keeps a signal that arrives before the caller says what to do then.
pub(super) struct Interrupt {
    runtime: Runtime,
    signals: StopSignals,
}

/// Tells the command whether a signal came, and the interrupt thread whether it comes too late.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<State>);

#[derive(Default)]
struct State {
    came: AtomicBool,
    /// The last step is under way: the result is kept, and a signal comes too late.
    finishing: AtomicBool,
    /// The interrupt thread holds it from the signal until the process ends.
    turn: Mutex<()>,
}

impl Interrupt {
    /// Begins to listen: from now on neither signal ends the process by itself.
    ///
    /// # Errors
    /// The runtime cannot start, or the operating system refuses a handler.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CommandError::io)?;
        let signals = {
            let _within = runtime.enter();
            StopSignals::listen()?
        };
        Ok(Self { runtime, signals })
    }

    /// On a signal, removes `scratch` and ends the process.
    ///
    /// # Errors
    /// The thread that waits for the signal cannot start.
    pub(super) fn remove(self, scratch: &Path) -> Result<Interrupted, CommandError> {
        self.remove_all(vec![scratch.to_path_buf()])
    }

    /// On a signal, removes these files and folders and ends the process.
    ///
    /// # Errors
    /// The thread that waits for the signal cannot start.
    pub(super) fn remove_all(self, paths: Vec<PathBuf>) -> Result<Interrupted, CommandError> {
        self.end_after(move || {
            // The work goes on meanwhile, and may write more.
            for _ in 0..REMOVALS {
                for path in &paths {
                    let _ = match path.is_dir() {
                        true => fs_err::remove_dir_all(path),
                        false => fs_err::remove_file(path),
                    };
                }
                if paths.iter().all(|path| path.symlink_metadata().is_err()) {
                    break;
                }
            }
            output::error_line("interrupted: nothing was changed");
        })
        .map(|(interrupted, _)| interrupted)
    }

    /// On a signal, writes `words` to standard error and ends the process.
    ///
    /// # Errors
    /// The thread that waits for the signal cannot start.
    pub(super) fn say(self, words: String) -> Result<Interrupted, CommandError> {
        let ended = self.end_after(move || output::error_line(&words));
        ended.map(|(interrupted, _)| interrupted)
    }

    fn end_after(
        mut self,
        last: impl FnOnce() + Send + 'static,
    ) -> Result<(Interrupted, JoinHandle<()>), CommandError> {
        let interrupted = Interrupted::default();
        let told = interrupted.clone();
        let thread = std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                self.runtime.block_on(self.signals.next());
                let _turn = told.turn();
                if told.0.finishing.load(Ordering::SeqCst) {
                    return;
                }
                told.0.came.store(true, Ordering::SeqCst);
                last();
                std::process::exit(EXIT_INTERRUPTED);
            })
            .map_err(CommandError::io)?;
        Ok((interrupted, thread))
    }
}

impl Interrupted {
    /// Begins the last step, which no signal ends any more. If the interrupt thread is removing the result
    /// already, this never returns.
    pub(super) fn finish(&self) {
        let _turn = self.turn();
        self.0.finishing.store(true, Ordering::SeqCst);
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `outcome`, unless it is an error and a signal is ending the process: then the work failed only
    /// because its files were removed, and this never returns.
    pub(super) fn unless<T>(&self, outcome: Result<T, CommandError>) -> Result<T, CommandError> {
        if outcome.is_err() && self.0.came.load(Ordering::SeqCst) {
            loop {
                std::thread::park();
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn signal_in_the_last_step_does_not_end_the_process() {
        let interrupt = Interrupt::listen().unwrap();
        let said = Arc::new(AtomicBool::new(false));
        let says = Arc::clone(&said);
        let (interrupted, thread) = interrupt
            .end_after(move || says.store(true, Ordering::SeqCst))
            .unwrap();
        interrupted.finish();
        kill_process(getpid(), Signal::INT).unwrap();
        // A signal that comes in time would have ended the process here.
        thread.join().unwrap();
        assert!(!said.load(Ordering::SeqCst));
        assert!(
            interrupted
                .unless(Err::<(), _>(CommandError::usage("late")))
                .is_err()
        );
    }
}
