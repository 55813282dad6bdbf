//! Merge, close, verify: the work on Chroma directories, on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chroma_store::{
    CheckedCollection, CloseOptions, ClosedStore, CreateOptions, Effects, Engine, NewIds, Open,
    OpenOptions, SchemaLevel, Store, StoreError, StoredFile, VerifyReport, create, create_like,
};
use compactor_core::CollectionName;
use compactor_core::ports::Clock;

use super::{Context, Step, StepHooks};
use crate::{FirstSnapshot, RunError, Settings};

/// A verified directory, ready to be uploaded.
pub(super) struct Folded {
    pub(super) store: ClosedStore,
    pub(super) files: Vec<StoredFile>,
    /// How long digesting the files took.
    pub(super) digesting: Duration,
    pub(super) rows: CheckedCollection,
    pub(super) level: SchemaLevel,
}

/// Deltas by their place in the batch.
type Deltas = Vec<(usize, PathBuf)>;

/// What each delta did, by its place in the batch, and the result if any was applied.
pub(super) type FoldOutcome = (Vec<(usize, Result<Effects, RunError>)>, Option<Folded>);

/// Folds `deltas` into the directory `work`, which holds the published snapshot, or nothing when
/// there is none.
pub(super) async fn fold(
    context: &Context,
    collection: &CollectionName,
    has_base: bool,
    deltas: Deltas,
    work: &Path,
) -> Result<FoldOutcome, RunError> {
    let job = Job {
        collection: collection.clone(),
        settings: Arc::clone(&context.settings),
        hooks: Arc::clone(&context.hooks),
        clock: Arc::clone(&context.ports.clock),
        ids: NewIds {
            collection: context.ports.ids.uuid(),
            vector_segment: context.ports.ids.uuid(),
            metadata_segment: context.ports.ids.uuid(),
        },
        work: work.to_path_buf(),
    };
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(|| job.run(has_base, deltas))).await?
}

struct Job {
    collection: CollectionName,
    settings: Arc<Settings>,
    hooks: Arc<dyn StepHooks>,
    clock: Arc<dyn Clock>,
    ids: NewIds,
    work: PathBuf,
}

impl Job {
    fn run(self, has_base: bool, deltas: Deltas) -> Result<FoldOutcome, RunError> {
        let mut outcomes = Vec::new();
        let (store, deltas) = if has_base {
            (
                Some(Store::open(&self.work, OpenOptions::default())?),
                deltas,
            )
        } else {
            self.begin(deltas, &mut outcomes)?
        };
        let Some(mut store) = store else {
            return Ok((outcomes, None));
        };
        let (places, dirs): (Vec<usize>, Vec<PathBuf>) = deltas.into_iter().unzip();
        let name = self.collection.as_str();
        let report = store.merge(name, &dirs, self.settings.merge)?;
        self.hooks.reached(Step::Merged, &self.collection)?;
        outcomes.extend(
            places
                .into_iter()
                .zip(report.outcomes)
                .map(|(place, outcome)| {
                    (
                        place,
                        outcome
                            .result
                            .map(|(_, effects)| effects)
                            .map_err(RunError::from),
                    )
                }),
        );
        if outcomes.iter().all(|(_, result)| result.is_err()) {
            return Ok((outcomes, None));
        }
        let close = CloseOptions {
            wait: self.settings.close_wait,
            ..CloseOptions::default()
        };
        let store = store.close(&close)?;
        self.hooks.reached(Step::Closed, &self.collection)?;
        let (store, verified) = self.verify(store, &close)?;
        let level = verified.schema_level;
        let rows = verified.collection(name).cloned();
        let rows = rows
            .filter(|rows| rows.records == report.records_after)
            .ok_or(StoreError::NotConserved {
                collection: name.to_owned(),
                found: verified.collection(name).map_or(0, |rows| rows.records),
                expected: report.records_after,
            })?;
        let began = self.clock.monotonic();
        let files = store.files()?;
        let digesting = self.clock.monotonic().0.saturating_sub(began.0);
        self.hooks.reached(Step::Verified, &self.collection)?;
        Ok((
            outcomes,
            Some(Folded {
                store,
                files,
                digesting,
                rows,
                level,
            }),
        ))
    }

    /// Verifies the result; damaged index files, of the base most likely, are built anew once.
    fn verify(
        &self,
        store: ClosedStore,
        close: &CloseOptions<'_>,
    ) -> Result<(ClosedStore, VerifyReport), RunError> {
        let damage = match store.verify(self.settings.verify) {
            Err(error) if error.is_index_damage() => error,
            verified => return Ok((store, verified?)),
        };
        tracing::warn!(code = damage.code(), error = %damage, "index files are built anew");
        let mut store = Store::open(&self.work, OpenOptions::default())?;
        let fold = self.settings.merge.fold;
        store.rebuild(self.collection.as_str(), Engine::Native, fold)?;
        let store = store.close(close)?;
        let verified = store.verify(self.settings.verify)?;
        Ok((store, verified))
    }

    /// Makes the first snapshot after the first delta that can be applied, and leaves the rest. A
    /// delta that cannot must not choose level, space and configuration for the others.
    fn begin(
        &self,
        deltas: Deltas,
        outcomes: &mut Vec<(usize, Result<Effects, RunError>)>,
    ) -> Result<(Option<Store<Open>>, Deltas), RunError> {
        let mut rest = deltas.into_iter();
        while let Some((place, dir)) = rest.next() {
            match self.begin_with(&dir) {
                Ok(store) => {
                    // Merged again with the rest, in one transaction.
                    return Ok((
                        Some(store),
                        std::iter::once((place, dir)).chain(rest).collect(),
                    ));
                }
                Err(error) => outcomes.push((place, Err(error.into()))),
            }
            remove_if_there(&self.work)?;
        }
        Ok((None, Vec::new()))
    }

    /// An empty directory like the delta, after the delta was found to fit into such a one.
    fn begin_with(&self, delta: &Path) -> Result<Store<Open>, StoreError> {
        let mut trial = self.begin_like(delta)?;
        let mut report = trial.merge(self.collection.as_str(), &[delta], self.settings.merge)?;
        if let Some(outcome) = report.outcomes.pop() {
            outcome.result?;
        }
        drop(trial);
        remove_if_there(&self.work)?;
        self.begin_like(delta)
    }

    fn begin_like(&self, delta: &Path) -> Result<Store<Open>, StoreError> {
        let name = self.collection.as_str();
        match self.settings.first {
            FirstSnapshot::LikeDelta => create_like(&self.work, delta, name, self.ids),
            FirstSnapshot::AtLevel(level) => {
                let report = chroma_store::verify(delta, chroma_store::VerifyLevel::Quick)?;
                let model =
                    report
                        .collection(name)
                        .ok_or_else(|| StoreError::CollectionMissing {
                            path: delta.to_path_buf(),
                            name: name.to_owned(),
                            available: report
                                .collections
                                .iter()
                                .map(|found| found.name.clone())
                                .collect(),
                        })?;
                let options = CreateOptions {
                    collection: name.to_owned(),
                    space: model.space,
                    level,
                };
                create(&self.work, &options, self.ids)
            }
        }
    }
}

fn remove_if_there(dir: &Path) -> Result<(), StoreError> {
    match fs_err::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
