//! Merging sources into a copy of a snapshot: open → merge → close → verify, each stage a value that the
//! one before returns. All of it blocks, and needs no port: the daemon's cycle and `store merge` run the
//! same job.
//!
//! Nothing here publishes, and nothing here writes to a source.

mod first;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chroma_store::{
    CheckedCollection, CloseOptions, ClosedStore, DeltaOutcome, Engine, FlushOptions, FlushWhen,
    FullName, MergeOptions, MergeReport, Open, OpenOptions, SchemaLevel, Store, StoreError,
    StoreResult, VerifyLevel, Which,
};

pub use first::{First, FirstSnapshot};

/// How sources are merged.
#[derive(Debug, Clone)]
pub struct MergeSettings {
    /// What an operation does to a record, when vectors are flushed, and how long a record may be.
    pub merge: MergeOptions,
    /// A database with a larger share of free pages, in percent, is vacuumed before it is closed.
    pub vacuum_above: u8,
    /// How thoroughly the result is verified.
    pub verify: VerifyLevel,
    /// How long closing waits for other processes that hold the files.
    pub close_wait: Duration,
}

/// The collection of a base that sources are merged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The collection of this name, in whichever tenant and database.
    Name(String),
    /// The collection of this tenant, database and name.
    Full(FullName),
}

impl<'a> From<&'a Target> for Which<'a> {
    fn from(target: &'a Target) -> Self {
        match target {
            Target::Name(name) => name.as_str().into(),
            Target::Full(name) => name.into(),
        }
    }
}

/// What is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A delta's directory.
    Delta(PathBuf),
}

impl AsRef<Path> for Source {
    fn as_ref(&self) -> &Path {
        match self {
            Self::Delta(dir) => dir,
        }
    }
}

/// What sources are merged into.
pub enum Base {
    /// A copy of a snapshot, which a crash may leave in any state.
    Copy,
    /// Nothing yet: the directory is made for the first source that can be merged.
    New(First),
}

/// What is rebuilt in the base before the merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// The full-text index of the whole directory.
    FullText,
    /// The index files of one collection.
    Index(FullName),
}

/// Sources to be merged into the collections of a directory.
pub struct MergeJob {
    /// The directory: the job's own, and thrown away if the job fails.
    pub dir: PathBuf,
    /// What is in it.
    pub base: Base,
    /// What is rebuilt first.
    pub mends: Vec<Mend>,
    /// The sources of each collection, in the order in which they are merged.
    pub sources: Vec<(Target, Vec<Source>)>,
    /// How.
    pub settings: MergeSettings,
}

/// A source that no directory could be made for, and why.
#[derive(Debug)]
pub struct Refused {
    /// The source.
    pub source: Source,
    /// What is wrong with it.
    pub error: StoreError,
}

/// The sources are merged, and the directory is open.
#[derive(Debug)]
pub struct Merged {
    store: Store<Open>,
    settings: MergeSettings,
    /// One report for each collection.
    pub reports: Vec<MergeReport>,
    /// Whether a source was applied or, in a job without sources, vectors were flushed: else the directory is
    /// what it was.
    pub has_changed: bool,
    /// The number of records that each collection must have.
    expected: Vec<(FullName, u64)>,
    flush_due: bool,
}

impl MergeJob {
    /// Opens the directory, mends it and merges. With [`Base::New`], sources that no directory can be made
    /// for are left out and returned; if no other source is left, there is no result.
    ///
    /// # Errors
    /// The base is damaged, the disk is full, or the result does not have the rows that it must have.
    /// Errors of single sources are in the reports.
    pub fn merge(mut self) -> StoreResult<(Vec<Refused>, Option<Merged>)> {
        let mut refused = Vec::new();
        let store = match &self.base {
            Base::Copy => Some(Store::open(&self.dir, OpenOptions::scratch())?),
            Base::New(first) => {
                let merge = self.settings.merge;
                first.make(&self.dir, &mut self.sources, merge, &mut refused)?
            }
        };
        let Some(mut store) = store else {
            return Ok((refused, None));
        };
        for mend in &self.mends {
            match mend {
                Mend::FullText => drop(store.rebuild_full_text()?),
                Mend::Index(name) => drop(store.rebuild(name, Engine::Native, always())?),
            }
        }
        let mut reports = Vec::new();
        for (target, sources) in &self.sources {
            reports.push(store.merge(target, sources, self.settings.merge)?);
        }
        let has_sources = self.sources.iter().any(|(_, sources)| !sources.is_empty());
        let merged = Merged {
            store,
            settings: self.settings,
            has_changed: has_changed(&reports, has_sources),
            expected: reports
                .iter()
                .map(|report| (report.collection.clone(), report.records_after))
                .collect(),
            flush_due: reports.iter().any(|report| report.flush_deferred),
            reports,
        };
        Ok((refused, Some(merged)))
    }
}

fn always() -> FlushOptions {
    FlushOptions {
        when: FlushWhen::Always,
        ..FlushOptions::default()
    }
}

impl Merged {
    /// What became of each source; the reports have none afterwards.
    pub fn take_outcomes(&mut self) -> Vec<DeltaOutcome> {
        let outcomes = self.reports.iter_mut().map(|report| &mut report.outcomes);
        outcomes.flat_map(std::mem::take).collect()
    }

    /// Vacuums the database, if a larger share of its pages is free than the settings say.
    ///
    /// # Errors
    /// SQLite cannot, for instance because the disk is full. The directory stays as it is.
    pub fn vacuum(&mut self) -> StoreResult<()> {
        let vacuumed = self.store.vacuum_above(self.settings.vacuum_above);
        vacuumed.map(drop)
    }

    /// Closes the directory and proves it.
    ///
    /// # Errors
    /// A process still has a file of it open or locked.
    pub fn close(self) -> StoreResult<Closed> {
        Ok(Closed {
            expected: self.expected,
            flush_due: self.flush_due,
            store: Arc::new(close(self.store, &self.settings)?),
            settings: self.settings,
        })
    }
}

fn has_changed(reports: &[MergeReport], has_sources: bool) -> bool {
    let mut outcomes = reports.iter().flat_map(|report| &report.outcomes);
    match has_sources {
        true => outcomes.any(|outcome| outcome.result.is_ok()),
        false => reports.iter().any(|report| report.flushed.is_some()),
    }
}

fn close(store: Store<Open>, settings: &MergeSettings) -> StoreResult<ClosedStore> {
    store.close(&CloseOptions {
        wait: settings.close_wait,
        ..CloseOptions::default()
    })
}

/// The directory is closed.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The proof.
    pub store: Arc<ClosedStore>,
    /// Whether vectors are due to be flushed, and were not because runs were waiting.
    pub flush_due: bool,
    /// The number of records that each merged collection must have.
    expected: Vec<(FullName, u64)>,
    settings: MergeSettings,
}

/// What verification found in a directory with one merged collection.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The counts of the collection.
    pub rows: CheckedCollection,
    /// The schema level of the directory.
    pub level: SchemaLevel,
}

impl Closed {
    /// Verifies the directory, and that each merged collection has the records that the merge counted.
    /// Returns what was found of each of them.
    ///
    /// # Errors
    /// The directory is not sound, or records are missing.
    pub fn verify(&self) -> StoreResult<Vec<Verified>> {
        let report = self.store.verify(self.settings.verify)?;
        let found = self.expected.iter().map(|(collection, expected)| {
            let mut all = report.collections.iter();
            let rows = all.find(|rows| rows.full_name == *collection);
            match rows.filter(|rows| rows.records == *expected) {
                Some(rows) => Ok(Verified {
                    rows: rows.clone(),
                    level: report.schema_level,
                }),
                None => Err(StoreError::NotConserved {
                    collection: collection.to_string(),
                    found: rows.map_or(0, |rows| rows.records),
                    expected: *expected,
                }),
            }
        });
        found.collect()
    }

    /// Rebuilds what `damage` names, index files or full text: most likely the base had the damage. The
    /// directory is the same afterwards, closed again.
    ///
    /// # Errors
    /// The damage cannot be mended.
    pub fn rebuild(self, damage: &StoreError) -> StoreResult<Self> {
        let mut store = Store::open(self.store.dir(), OpenOptions::scratch())?;
        if damage.is_full_text_damage() {
            store.rebuild_full_text()?;
        } else {
            for (collection, _) in &self.expected {
                store.rebuild(collection, Engine::Native, self.settings.merge.flush)?;
            }
        }
        Ok(Self {
            store: Arc::new(close(store, &self.settings)?),
            flush_due: false,
            ..self
        })
    }
}

/// Whether [`Closed::rebuild`] may mend it.
pub fn is_mendable(damage: &StoreError) -> bool {
    damage.is_index_damage() || damage.is_full_text_damage()
}
