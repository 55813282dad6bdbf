//! What a verification found.

use std::path::Path;

use serde::Serialize;

use crate::problem::{Problem, Remedy, Severity};
use crate::{FullName, SchemaLevel, Space, StoreError, StoreResult};

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyLevel {
    /// What costs little: SQLite's quick check, segments, progress, headers and sizes.
    Quick,
    /// Everything: all rows, all index bytes, full text against documents.
    Full,
}

/// A collection as the verification saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedCollection {
    /// Its names: `tenant`, `database`, `name`.
    #[serde(flatten)]
    pub full_name: FullName,
    /// Records in the metadata segment.
    pub records: u64,
    /// Elements per vector.
    pub dimension: Option<u32>,
    /// Distance space.
    pub space: Space,
}

/// The outcome of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The schema level.
    pub schema_level: SchemaLevel,
    /// All collections, by name.
    pub collections: Vec<CheckedCollection>,
    /// All findings.
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

    /// An error that something mends.
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

    /// A warning that something does away with.
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

    /// The report, or its findings as an error if there are some that a merge into a copy of the
    /// directory does not mend.
    ///
    /// # Errors
    /// `Inconsistent` when there is a finding of error severity that a merge does not mend.
    pub fn into_base(self, dir: &Path) -> StoreResult<Self> {
        self.but_for(dir, Remedy::comes_with_a_merge)
    }

    /// The report, or its findings as an error if there are some that new index files do not mend.
    ///
    /// # Errors
    /// `Inconsistent`.
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

    /// The findings that ask for `remedy`.
    pub fn asking_for(&self, remedy: Remedy) -> impl Iterator<Item = &Problem> {
        let problems = self.problems.iter();
        problems.filter(move |problem| problem.remedy == Some(remedy))
    }

    /// Whether there is no finding of error severity.
    pub fn is_sound(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning)
    }

    /// The collection `name`, if there is one, in whichever database.
    pub fn collection(&self, name: &str) -> Option<&CheckedCollection> {
        self.collections
            .iter()
            .find(|collection| collection.full_name.name == name)
    }

    /// The report, or its findings as an error.
    ///
    /// # Errors
    /// `Inconsistent` when there is a finding of error severity.
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
