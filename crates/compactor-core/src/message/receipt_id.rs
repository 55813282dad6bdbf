//! The rule for the receipt id of a message.

/// The rule in words, to be read after "must be".
pub(super) const RULE: &str = "a whole number from 1 to 2^53";

/// Whether every store of records and every JSON reader represents the number exactly.
pub(super) fn is_allowed(id: u64) -> bool {
    (1..=1 << 53).contains(&id)
}
