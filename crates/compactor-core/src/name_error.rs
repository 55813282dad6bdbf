//! The error of a name that breaks the rule for its kind.

use thiserror::Error;

/// A name that breaks the rule for its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} {name:?} is not allowed: it must {rule}")]
pub struct NameError {
    /// The kind of name: `collection name`, `run id` or `image id`.
    pub kind: &'static str,
    /// The refused name, cut to 128 characters.
    pub name: String,
    /// The part of the rule that the name breaks, to be read after "it must".
    pub rule: &'static str,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, name: &str, rule: &'static str) -> Self {
        // A sender chooses the name, and must not fill the log with it.
        let name = name.chars().take(128).collect();
        Self { kind, name, rule }
    }

    /// The stable code of this error, listed in docs/errors.md.
    pub fn code(&self) -> &'static str {
        "CC-NAME-INVALID"
    }
}
