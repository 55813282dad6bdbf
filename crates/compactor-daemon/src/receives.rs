//! How many receives a message has left. A queue dead-letters a message that was received too often,
//! whatever the reason.

/// Whether a message may be given back for a reason that is not its run's, such as a lock that another
/// worker holds: half of its receives are kept for attempts to merge it.
pub(crate) fn has_receives_left(receives: u32, max_receives: u32) -> bool {
    receives.saturating_mul(2) <= max_receives
}
