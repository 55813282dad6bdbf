//! The error of names that break their rule.

use thiserror::Error;

/// A name that breaks the rule for its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} {name:?} is not allowed: it must {rule}")]
pub struct NameError {
    /// What was to be named: `collection name`, `run id`, `image id`.
    pub kind: &'static str,
    /// The name as it came.
    pub name: String,
    /// The part of the rule it breaks, to be read after "it must".
    pub rule: &'static str,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, name: &str, rule: &'static str) -> Self {
        // A hostile name must not fill the logs.
        let name = name.chars().take(128).collect();
        Self { kind, name, rule }
    }

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        "CC-NAME-INVALID"
    }
}
