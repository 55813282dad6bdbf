//! Lock files: how processes and threads that use one directory take turns.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use compactor_core::ports::Clock as _;

use crate::SystemClock;
use crate::access::open_private;

/// How long a process waits for a lock file that another process holds. Work under a lock takes
/// milliseconds.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Holds the lock of a file until it is dropped, or the process dies.
#[must_use]
pub(crate) struct Turn(#[expect(dead_code, reason = "closing it is what frees the lock")] File);

/// Waits for the lock of one file, which it makes if missing, for at most `patience`. Blocks.
///
/// # Errors
/// An error of the kind `TimedOut` that names the file, if another process holds the lock all that time.
pub(crate) fn lock_file(path: &Path, patience: Duration) -> io::Result<Turn> {
    // Each turn opens the file again: a lock belongs to an open file, so threads exclude each other too.
    let file = open(path)?;
    let clock = SystemClock::new();
    let mut pause = FIRST_PAUSE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Turn(file)),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
            // `File::lock` would wait for ever, and no signal ends it.
            Err(TryLockError::WouldBlock) if clock.monotonic().0 >= patience => {
                let text = format!(
                    "another process holds the lock file {}, and did not free it in {patience:?}",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Err(TryLockError::WouldBlock) => {
                sleep(pause);
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// Opens a lock file, which it makes if missing. No other account can read it: one that could, could lock
/// it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_private(path, OpenOptions::new().append(true))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the wait is on a blocking thread, where the Clock port cannot wait"
)]
fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use compactor_core::ports::Fault;

    use super::*;
    use crate::fault::of_io;

    #[test]
    fn lock_that_another_process_holds_is_awaited_until_a_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        let other = File::create(&path).unwrap();
        other.lock().unwrap();
        let Err(error) = lock_file(&path, Duration::from_millis(100)) else {
            panic!("two processes hold the lock");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(of_io(&error), Fault::Transient);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_file(&path, LOCK_WAIT).map(drop));
            sleep(Duration::from_millis(20));
            other.unlock().unwrap();
            waiting.join().unwrap().unwrap();
        });
    }
}
