//! One process of the daemon, as far as the world outside can tell: it runs, it is paused, or it
//! is no more.

use std::sync::Mutex;

use tokio::sync::Notify;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Dead,
}

/// A process. Whatever it calls waits while it is paused, and for ever when it is dead.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Which machine, and which of its processes.
    pub(crate) name: String,
    life: Mutex<Life>,
    /// Wakes in the order of waiting, which a `watch` does not.
    resumed: Notify,
}

impl Machine {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            life: Mutex::new(Life::Running),
            resumed: Notify::new(),
        }
    }

    pub(crate) fn pause(&self) {
        *self.life.lock().unwrap() = Life::Paused;
    }

    pub(crate) fn resume(&self) {
        *self.life.lock().unwrap() = Life::Running;
        self.resumed.notify_waiters();
    }

    pub(crate) fn kill(&self) {
        *self.life.lock().unwrap() = Life::Dead;
    }

    /// Returns when the process runs.
    pub(crate) async fn awake(&self) {
        loop {
            let mut resumed = std::pin::pin!(self.resumed.notified());
            // Listen before looking, or a resumption in between would be missed.
            resumed.as_mut().enable();
            if *self.life.lock().unwrap() == Life::Running {
                return;
            }
            resumed.await;
        }
    }
}
