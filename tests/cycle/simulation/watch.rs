//! The only real time in a simulation: a task that neither waits nor gets on lets no simulated time
//! pass, and would never end.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A thousand times as long as a seed takes.
const PATIENCE: Duration = Duration::from_secs(200);

fn give_up(seed: u64) -> ! {
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(
        std::io::stderr(),
        "seed {seed} of the simulation hangs\nAgain: SIMULATION_SEED={seed} cargo test \
         --workspace --all-features --test cycle simulation -- --nocapture"
    );
    std::process::abort();
}

/// Does the work of a seed. If it hangs so does its thread: all that is left is to say so and end.
pub(crate) fn watched<T>(seed: u64, work: impl FnOnce() -> T) -> T {
    let (end, ends) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if ends.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            give_up(seed);
        }
    });
    let result = work();
    drop(end);
    watch.join().unwrap();
    result
}
