//! Findings of a verification: how bad each is, and what mends it.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Chroma itself makes such directories and works with them.
    Warning,
    /// Readers would get wrong answers, lose writes, or crash.
    Error,
}

/// A repair that mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Write the texts of the migrations as Chroma has them.
    Migrations,
    /// Rebuild SQLite's own indexes from their tables.
    Reindex,
    /// Insert the tenants and databases that rows name and that are missing.
    Places,
    /// Copy the metadata of records into their unreadable log rows.
    LogRows,
    /// Set progress that no log row confirms back, and apply the waiting rows.
    Progress,
    /// Set the dimension to that of the vectors.
    Dimension,
    /// Rebuild the full text from the documents.
    FullText,
    /// Flush: make index files from the log.
    Flush,
    /// Rebuild the index files from the log, or from the vectors that can still be read.
    Index,
    /// Set the journal mode that Chroma uses.
    JournalMode,
    /// Remove what no segment names.
    Orphans,
}

impl Remedy {
    /// Whether a merge applies it in passing.
    pub(crate) fn comes_with_a_merge(self) -> bool {
        matches!(
            self,
            Self::FullText | Self::Flush | Self::Index | Self::JournalMode
        )
    }
}

/// A finding of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it makes the directory unsound.
    pub severity: Severity,
    /// The invariant that it breaks, `I1` to `I12`; `sqlite`, `files` or `index` for a finding that
    /// is not about one of them.
    pub invariant: &'static str,
    /// The full name of the collection; `None` if it is about the whole directory.
    pub collection: Option<String>,
    /// What the verification found, in words.
    pub detail: String,
    /// What mends it; `None` if no repair is known.
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
