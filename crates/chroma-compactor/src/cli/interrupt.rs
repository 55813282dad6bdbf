//! Ctrl-C during offline work: what was begun is removed, nothing half-made is left behind.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Runtime;

use super::signals::{EXIT_INTERRUPTED, StopSignals};
use crate::failure::Failure;
use crate::output;

/// A folder that is being written may take some turns to remove.
const REMOVALS: u32 = 1000;

/// Ctrl-C or SIGTERM that came since this was made, or will.
pub(super) struct Interrupt {
    runtime: Runtime,
    signals: StopSignals,
}

/// Whether the end of the process is near.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<State>);

#[derive(Default)]
struct State {
    came: AtomicBool,
    /// The work holds it where a signal must wait; the interrupt thread holds it from the signal on.
    turn: Mutex<()>,
}

impl Interrupt {
    /// Begins to listen: from now on no signal ends the process by itself.
    pub(super) fn listen() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::io)?;
        let signals = {
            let _within = runtime.enter();
            StopSignals::listen()?
        };
        Ok(Self { runtime, signals })
    }

    /// Removes `scratch` and ends the process once a signal comes.
    pub(super) fn remove(self, scratch: &Path) -> Result<Interrupted, Failure> {
        self.remove_all(vec![scratch.to_path_buf()])
    }

    /// Removes files and folders and ends the process once a signal comes.
    pub(super) fn remove_all(self, paths: Vec<PathBuf>) -> Result<Interrupted, Failure> {
        self.end_after(move || {
            // Meanwhile the work goes on, and may put something new there.
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
    }

    /// Says `words` and ends the process once a signal comes.
    pub(super) fn say(self, words: String) -> Result<Interrupted, Failure> {
        self.end_after(move || output::error_line(&words))
    }

    fn end_after(mut self, last: impl FnOnce() + Send + 'static) -> Result<Interrupted, Failure> {
        let interrupted = Interrupted::default();
        let told = interrupted.clone();
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                self.runtime.block_on(self.signals.next());
                let _turn = told.hold();
                told.0.came.store(true, Ordering::SeqCst);
                last();
                std::process::exit(EXIT_INTERRUPTED);
            })
            .map_err(Failure::io)?;
        Ok(interrupted)
    }
}

impl Interrupted {
    /// While this lives, a signal waits.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes an outcome on, unless the process is about to end: what failed then, failed because of
    /// that.
    pub(super) fn unless<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if outcome.is_err() && self.0.came.load(Ordering::SeqCst) {
            loop {
                std::thread::park();
            }
        }
        outcome
    }
}
