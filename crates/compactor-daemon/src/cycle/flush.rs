//! Merge, close, verify: the work on Chroma directories, on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chroma_store::{
    CheckedCollection, CloseOptions, ClosedStore, CreateOptions, Effects, EmbeddingFunction,
    Engine, LikeOptions, MergeOptions, NewIds, Open, OpenOptions, SchemaLevel, Space, Store,
    StoreError, create, create_like, space_of,
};
use compactor_core::CollectionName;

use super::{Context, Step, StepHooks};
use crate::{FirstSnapshot, RunError, Settings};

/// A merged and closed directory.
pub(super) struct Merged {
    pub(super) store: Arc<ClosedStore>,
    records: u64,
    /// It is time to flush, and it was not done because runs were waiting.
    pub(super) flush_due: bool,
}

/// What verification found in it.
pub(super) struct Checked {
    pub(super) rows: CheckedCollection,
    pub(super) level: SchemaLevel,
}

/// What a delta did, and its space if that is not the snapshot's.
pub(super) type DeltaDone = (Effects, Option<Space>);

/// Deltas by their place in the batch.
type Deltas = Vec<(usize, PathBuf)>;

/// What each delta did, by its place in the batch, and the result if there is one to publish.
pub(super) type MergeOutcome = (Vec<(usize, Result<DeltaDone, RunError>)>, Option<Merged>);

/// Merges `deltas` into the directory `work`, which holds the published snapshot, or nothing when
/// there is none. Without deltas, only flushes.
pub(super) async fn merge(
    context: &Context,
    collection: &CollectionName,
    has_base: bool,
    deltas: Deltas,
    work: &Path,
) -> Result<MergeOutcome, RunError> {
    let job = Job {
        collection: collection.clone(),
        settings: Arc::clone(&context.settings),
        hooks: Arc::clone(&context.hooks),
        ids: NewIds {
            collection: context.ports.ids.uuid(),
            vector_segment: context.ports.ids.uuid(),
            metadata_segment: context.ports.ids.uuid(),
        },
        work: work.to_path_buf(),
    };
    blocking(move || job.run(has_base, deltas)).await
}

/// Verifies the result.
pub(super) async fn verify(
    context: &Context,
    collection: &CollectionName,
    merged: &Merged,
) -> Result<Checked, RunError> {
    let (store, records) = (Arc::clone(&merged.store), merged.records);
    let (collection, level) = (collection.clone(), context.settings.verify);
    let hooks = Arc::clone(&context.hooks);
    blocking(move || {
        let verified = store.verify(level)?;
        let rows = verified.collection(collection.as_str()).cloned();
        let rows = rows.filter(|rows| rows.records == records).ok_or_else(|| {
            let found = verified.collection(collection.as_str());
            StoreError::NotConserved {
                collection: collection.to_string(),
                found: found.map_or(0, |rows| rows.records),
                expected: records,
            }
        })?;
        hooks.reached(Step::Verified, &collection)?;
        Ok(Checked {
            rows,
            level: verified.schema_level,
        })
    })
    .await
}

/// Builds what is damaged anew, index files or full text: those of the base were, most likely.
pub(super) async fn rebuild(
    context: &Context,
    collection: &CollectionName,
    merged: Merged,
    damage: &StoreError,
) -> Result<Merged, RunError> {
    let of_full_text = damage.is_full_text_damage();
    let (settings, collection) = (Arc::clone(&context.settings), collection.clone());
    blocking(move || {
        let mut store = Store::open(merged.store.dir(), OpenOptions::scratch())?;
        if of_full_text {
            store.rebuild_full_text()?;
        } else {
            store.rebuild(collection.as_str(), Engine::Native, settings.merge.flush)?;
        }
        Ok(Merged {
            store: Arc::new(store.close(&close_options(&settings))?),
            records: merged.records,
            flush_due: false,
        })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await?
}

fn close_options(settings: &Settings) -> CloseOptions<'static> {
    CloseOptions {
        wait: settings.close_wait,
        ..CloseOptions::default()
    }
}

struct Job {
    collection: CollectionName,
    settings: Arc<Settings>,
    hooks: Arc<dyn StepHooks>,
    ids: NewIds,
    work: PathBuf,
}

impl Job {
    fn run(self, has_base: bool, deltas: Deltas) -> Result<MergeOutcome, RunError> {
        let mut outcomes = Vec::new();
        let (store, deltas) = if has_base {
            (
                Some(Store::open(&self.work, OpenOptions::scratch())?),
                deltas,
            )
        } else {
            self.begin(deltas, &mut outcomes)?
        };
        let Some(mut store) = store else {
            return Ok((outcomes, None));
        };
        let (places, dirs): (Vec<usize>, Vec<PathBuf>) = deltas.into_iter().unzip();
        let mut options = self.merge_options();
        if !dirs.is_empty() {
            options.flush.at_least = self.settings.flush_backlog;
        }
        let report = store.merge(self.collection.as_str(), &dirs, options)?;
        self.hooks.reached(Step::Merged, &self.collection)?;
        let merged = report.outcomes.into_iter().map(|outcome| {
            let space = outcome.other_space;
            let done = outcome.result.map(|(_, effects)| (effects, space));
            done.map_err(RunError::from)
        });
        outcomes.extend(places.into_iter().zip(merged));
        let has_applied = outcomes.iter().any(|(_, result)| result.is_ok());
        let has_flushed = outcomes.is_empty() && report.flushed.is_some();
        if !has_applied && !has_flushed {
            return Ok((outcomes, None));
        }
        match store.vacuum_above(self.settings.merge.flush.vacuum_above_free_percent) {
            // Nothing is wrong with the snapshot; it stays larger than it could be.
            Err(error) if error.is_of_machine() => {
                tracing::warn!(code = error.code(), %error, "the database is not vacuumed");
            }
            vacuumed => drop(vacuumed?),
        }
        let store = store.close(&close_options(&self.settings))?;
        self.hooks.reached(Step::Closed, &self.collection)?;
        let merged = Merged {
            store: Arc::new(store),
            records: report.records_after,
            flush_due: report.flush_deferred,
        };
        Ok((outcomes, Some(merged)))
    }

    fn merge_options(&self) -> MergeOptions {
        MergeOptions {
            longest_value: Some(self.settings.limits.value_bytes),
            ..self.settings.merge
        }
    }

    /// Makes the first snapshot after the first delta that can be applied, and leaves the rest. A
    /// delta that cannot must not choose level, space and configuration for the others.
    fn begin(
        &self,
        deltas: Deltas,
        outcomes: &mut Vec<(usize, Result<DeltaDone, RunError>)>,
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
        let (mut trial, left_out) = self.begin_like(delta)?;
        let mut report = trial.merge(self.collection.as_str(), &[delta], self.merge_options())?;
        if let Some(outcome) = report.outcomes.pop() {
            outcome.result?;
        }
        drop(trial);
        remove_if_there(&self.work)?;
        for function in left_out {
            tracing::warn!(
                %function,
                "the first delta names an embedding function, which the snapshot will not: readers would send it their queries; collections.embedding_functions lets it in"
            );
        }
        Ok(self.begin_like(delta)?.0)
    }

    /// The directory, and the embedding functions of the delta that it was not given.
    fn begin_like(
        &self,
        delta: &Path,
    ) -> Result<(Store<Open>, Vec<EmbeddingFunction>), StoreError> {
        let name = self.collection.as_str();
        let longest_value = Some(self.settings.limits.value_bytes);
        match self.settings.first {
            FirstSnapshot::LikeDelta => {
                let options = LikeOptions {
                    embedding_functions: &self.settings.embedding_functions,
                    longest_value,
                };
                create_like(&self.work, delta, name, self.ids, options)
            }
            FirstSnapshot::AtLevel(level) => {
                let options = CreateOptions {
                    collection: name.to_owned(),
                    space: space_of(delta, name, longest_value)?,
                    level,
                };
                Ok((create(&self.work, &options, self.ids)?, Vec::new()))
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
