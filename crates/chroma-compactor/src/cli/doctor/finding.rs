//! What a check found, how bad that is, and what to do about it.

use compactor_core::ports::{Fault, PortError};
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// The check passed.
    Ok,
    /// A daemon can work, but an operator should look at it.
    Warning,
    /// A daemon cannot work.
    Bad,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// The code of the error that the check met; docs/errors.md explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// What was found, for people.
    pub(super) found: String,
    /// What to do about it, or a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            code: None,
            found: found.into(),
            fix: None,
        }
    }

    /// A passed check with a note for the operator.
    pub(super) fn note(check: &'static str, found: impl Into<String>, note: &str) -> Self {
        Self {
            verdict: Verdict::Ok,
            ..Self::warning(check, found, note)
        }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, fix: &str) -> Self {
        Self {
            verdict: Verdict::Warning,
            fix: Some(fix.to_owned()),
            ..Self::ok(check, found)
        }
    }

    pub(super) fn bad(check: &'static str, found: impl Into<String>, fix: &str) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(check, found, fix)
        }
    }

    pub(super) fn coded(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The check's call to a port failed: the verdict is bad, and the fix depends on the fault.
    pub(super) fn failed(check: &'static str, error: &PortError) -> Self {
        Self::bad(check, error.to_string(), advice(error)).coded(error.code())
    }
}

fn advice(error: &PortError) -> &'static str {
    match error.fault {
        Fault::Denied => "check the credentials, and the permissions of docs/aws.md",
        Fault::Missing => "check the name, the region and the endpoint; create what is missing",
        Fault::Full => "make room",
        Fault::Transient | Fault::Throttled | Fault::OutcomeUnknown => {
            "try again; if the error stays, check the network and the endpoint"
        }
        Fault::Unsupported => "use a store that supports it: docs/aws.md",
        Fault::TooLarge | Fault::Corrupt | Fault::Invalid => {
            "check that the settings name the right one"
        }
    }
}
