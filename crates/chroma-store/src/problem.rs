//! A finding of a verification, how bad it is, and what mends it.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Chroma makes such directories itself and lives with it.
    Warning,
    /// Readers would get wrong answers, lose writes, or crash.
    Error,
}

/// What mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// The text of migrations as Chroma has it.
    Migrations,
    /// SQLite's own indexes made anew.
    Reindex,
    /// Tenants and databases that are named but not there.
    Places,
    /// A repair copies the metadata of the records into log rows that cannot be read.
    LogRows,
    /// Progress that no log row bears out set back, and what waits applied.
    Progress,
    /// The dimension that its vectors have.
    Dimension,
    /// Full text made anew from the documents.
    FullText,
    /// Index files made from the log.
    Flush,
    /// Index files made anew from the log, or from the vectors that can still be read.
    Index,
    /// The journal mode that Chroma uses.
    JournalMode,
    /// What no segment names removed.
    Orphans,
}

impl Remedy {
    /// Whether a merge does it on the way.
    pub(crate) fn comes_with_a_merge(self) -> bool {
        matches!(
            self,
            Self::FullText | Self::Flush | Self::Index | Self::JournalMode
        )
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The invariant that it breaks, `I1` to `I12`; `sqlite` or `files` if it is none of Chroma's.
    pub invariant: &'static str,
    /// The collection, if it is about one.
    pub collection: Option<String>,
    /// What was found.
    pub detail: String,
    /// What mends it; `None` if nothing is known to.
    pub remedy: Option<Remedy>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.invariant)?;
        if let Some(collection) = &self.collection {
            write!(f, "collection `{collection}`: ")?;
        }
        f.write_str(&self.detail)
    }
}
