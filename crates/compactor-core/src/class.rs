//! What a caller should do about an error.

/// The four things that can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try the same thing again, soon.
    Retry,
    /// Give the message back to the queue: later, or another worker, may succeed.
    GiveBack,
    /// No retry will help: the message belongs in the dead-letter queue.
    DeadLetter,
    /// Nothing this process does will succeed: stop and call a human.
    Stop,
}
