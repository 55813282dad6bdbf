//! The report of a verification.

use std::path::Path;

use serde::Serialize;

use crate::problem::{Problem, Remedy, Severity};
use crate::{FullName, SchemaLevel, Space, StoreError, StoreResult};

/// How much a verification checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyLevel {
    /// Only what costs little: SQLite's quick check, segments, progress, headers and sizes.
    Quick,
    /// Everything: all rows, all index bytes, full text against documents.
    Full,
}

/// A collection, as a verification sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedCollection {
    /// Its full name, as the keys `tenant`, `database` and `name`.
    #[serde(flatten)]
    pub full_name: FullName,
    /// Number of records in the metadata segment.
    pub records: u64,
    /// Elements per vector; `None` before the first record.
    pub dimension: Option<u32>,
    /// The distance that its searches compare by.
    pub space: Space,
}

/// The report of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The schema level of the directory.
    pub schema_level: SchemaLevel,
    /// All collections, sorted by name.
    pub collections: Vec<CheckedCollection>,
    /// All findings, warnings included.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    pub(super) fn new(schema_level: SchemaLevel) -> Self {
        Self {
            schema_level,
            collections: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn error(
        &mut self,
        invariant: &'static str,
        collection: Option<String>,
        detail: impl Into<String>,
    ) {
        self.push(Severity::Error, invariant, collection, detail.into());
    }

    /// Adds an error that `remedy` mends.
    pub(super) fn mendable(
        &mut self,
        remedy: Remedy,
        invariant: &'static str,
        collection: Option<String>,
        detail: impl Into<String>,
    ) {
        self.error(invariant, collection, detail);
        if let Some(problem) = self.problems.last_mut() {
            problem.remedy = Some(remedy);
        }
    }

    pub(super) fn warn(
        &mut self,
        invariant: &'static str,
        collection: Option<String>,
        detail: impl Into<String>,
    ) {
        self.push(Severity::Warning, invariant, collection, detail.into());
    }

    /// Adds a warning that `remedy` removes.
    pub(super) fn avoidable(
        &mut self,
        remedy: Remedy,
        invariant: &'static str,
        detail: impl Into<String>,
    ) {
        self.warn(invariant, None, detail);
        if let Some(problem) = self.problems.last_mut() {
            problem.remedy = Some(remedy);
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        invariant: &'static str,
        collection: Option<String>,
        detail: String,
    ) {
        self.problems.push(Problem {
            severity,
            invariant,
            collection,
            detail,
            remedy: None,
        });
    }

    /// Returns the report if a merge into a copy of the directory mends all its errors.
    ///
    /// # Errors
    /// `Inconsistent` with the errors that a merge does not mend.
    pub fn into_base(self, dir: &Path) -> StoreResult<Self> {
        self.but_for(dir, Remedy::comes_with_a_merge)
    }

    /// Returns the report if new index files mend all its errors.
    ///
    /// # Errors
    /// `Inconsistent` with the errors that they do not mend.
    pub fn into_indexable(self, dir: &Path) -> StoreResult<Self> {
        self.but_for(dir, |remedy| {
            matches!(remedy, Remedy::Flush | Remedy::Index)
        })
    }

    fn but_for(mut self, dir: &Path, mended: impl Fn(Remedy) -> bool) -> StoreResult<Self> {
        let (mended, left) = self
            .problems
            .into_iter()
            .partition(|problem| problem.remedy.is_some_and(&mended));
        self.problems = left;
        let mut sound = self.into_sound(dir)?;
        sound.problems.extend::<Vec<_>>(mended);
        Ok(sound)
    }

    /// The findings that `remedy` mends.
    pub fn asking_for(&self, remedy: Remedy) -> impl Iterator<Item = &Problem> {
        let problems = self.problems.iter();
        problems.filter(move |problem| problem.remedy == Some(remedy))
    }

    /// Whether the report has no finding of error severity.
    pub fn is_sound(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning)
    }

    /// The first collection with this name in any database; `None` if there is none.
    pub fn collection(&self, name: &str) -> Option<&CheckedCollection> {
        self.collections
            .iter()
            .find(|collection| collection.full_name.name == name)
    }

    /// Returns the report if it has no error.
    ///
    /// # Errors
    /// `Inconsistent` with all findings of error severity.
    pub fn into_sound(self, dir: &Path) -> StoreResult<Self> {
        if self.is_sound() {
            return Ok(self);
        }
        let problems = self
            .problems
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error);
        Err(StoreError::Inconsistent {
            path: dir.to_path_buf(),
            problems: problems.collect(),
        })
    }
}
