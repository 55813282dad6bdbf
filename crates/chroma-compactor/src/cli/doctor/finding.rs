//! What a check found, how bad that is, and what to do about it.

use compactor_core::ports::{Fault, PortError};
use serde::Serialize;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// A daemon can work; something is not as it should be.
    Warning,
    /// A daemon cannot work.
    Bad,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// The code of the error, where one was met: docs/errors.md says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
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

    /// Fine, with what one may want to know of it.
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

    /// A port refused the call that the check made.
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
            "try again; if it stays, check the network and the endpoint"
        }
        Fault::Unsupported => "use a store that has it: docs/aws.md",
        Fault::TooLarge | Fault::Corrupt | Fault::Invalid => {
            "check that it is what the settings say it is"
        }
    }
}
