//! The double of the port `Clock`.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::lock;
use crate::ports::{Clock, Monotonic, WallTime};

/// 2026-11-21T00:00:00Z.
const START: WallTime = WallTime(1_795_219_200_000_000);

/// A clock that stands still until a test moves it. It begins at 2026-11-21T00:00:00Z.
///
/// Sleepers wait for [`advance`](Self::advance). On an [`auto`](Self::auto) clock each sleeper moves the
/// clock to the end of its own sleep instead, so code that only waits never hangs.
#[derive(Debug)]
pub struct FakeClock {
    auto: bool,
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    wall: WallTime,
    monotonic: Duration,
    sleepers: usize,
}

impl FakeClock {
    /// A clock that moves only by [`advance`](Self::advance).
    pub fn manual() -> Self {
        Self::new(false)
    }

    /// A clock that every sleep moves to its end.
    pub fn auto() -> Self {
        Self::new(true)
    }

    fn new(auto: bool) -> Self {
        let state = State {
            wall: START,
            monotonic: Duration::ZERO,
            sleepers: 0,
        };
        Self {
            auto,
            state: Mutex::new(state),
            moved: Notify::new(),
        }
    }

    /// Moves wall and monotonic time on by `duration`, and wakes the sleepers whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut state = lock(&self.state);
        let end = state.monotonic.saturating_add(duration);
        move_to(&mut state, end);
        drop(state);
        self.moved.notify_waiters();
    }

    /// Sets the wall time alone, forwards or back, as an operator or a time server does.
    pub fn set_wall(&self, wall: WallTime) {
        lock(&self.state).wall = wall;
    }

    /// How many sleepers wait now, so that a test can advance once all of them do.
    pub fn sleepers(&self) -> usize {
        lock(&self.state).sleepers
    }
}

fn move_to(state: &mut State, monotonic: Duration) {
    let by = monotonic.saturating_sub(state.monotonic);
    state.wall = state.wall.plus(by);
    state.monotonic += by;
}

/// Counts a sleeper while its future lives.
struct Asleep<'a>(&'a FakeClock);

impl<'a> Asleep<'a> {
    fn on(clock: &'a FakeClock) -> Self {
        lock(&clock.state).sleepers += 1;
        Self(clock)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).sleepers -= 1;
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn wall(&self) -> WallTime {
        lock(&self.state).wall
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(lock(&self.state).monotonic)
    }

    async fn sleep(&self, duration: Duration) {
        let end = lock(&self.state).monotonic.saturating_add(duration);
        if self.auto {
            // Other tasks run first, as they would during a real sleep.
            tokio::task::yield_now().await;
            move_to(&mut lock(&self.state), end);
            self.moved.notify_waiters();
            return;
        }
        let _asleep = Asleep::on(self);
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // Listen before looking, or a move in between would be missed.
            moved.as_mut().enable();
            if lock(&self.state).monotonic >= end {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn manual_clock_wakes_sleepers_when_their_time_has_come() {
        let clock = Arc::new(FakeClock::manual());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.sleepers(), 0);
        assert_eq!(clock.wall(), START.plus(Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn auto_clock_moves_to_the_end_of_each_sleep() {
        let clock = FakeClock::auto();
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.monotonic(), Monotonic(Duration::from_secs(3600)));
        clock.set_wall(WallTime(0));
        assert_eq!(clock.monotonic(), Monotonic(Duration::from_secs(3600)));
    }
}
