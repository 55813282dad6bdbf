//! The blocking part of a cycle: merge, close, verify, each on a blocking thread.

use std::path::{Path, PathBuf};

use chroma_store::{NewIds, StoreError};
use compactor_core::CollectionName;
use compactor_snapshots::{
    Base, Closed, First, MergeJob, Merged, Progress, Source, Step, Target, Verified,
};

use super::settle::SourceDone;
use super::steps::Steps;
use crate::context::Context;
use crate::{Error, Result};

/// What each delta did, by its place in the batch.
pub(super) type Outcomes = Vec<(usize, Result<SourceDone>)>;

/// Merges `deltas` into the directory `work`, which holds the published snapshot, or does not exist when there
/// is none. Without deltas, only flushes. There is no result if nothing changed.
pub(super) async fn merge(
    context: &Context,
    collection: &CollectionName,
    has_base: bool,
    deltas: Vec<(usize, PathBuf)>,
    (work, steps): (&Path, &Steps<'_>),
) -> Result<(Outcomes, Option<Closed>)> {
    let ids = &context.ports.ids;
    let first = First {
        snapshot: context.settings.first,
        ids: NewIds {
            collection: ids.uuid(),
            vector_segment: ids.uuid(),
            metadata_segment: ids.uuid(),
        },
        embedding_functions: context.settings.embedding_functions.clone(),
    };
    let sources = deltas.iter().map(|(_, dir)| Source::Delta(dir.clone()));
    let job = MergeJob {
        dir: work.to_path_buf(),
        base: match has_base {
            true => Base::Copy,
            false => Base::New(first),
        },
        mends: Vec::new(),
        sources: vec![(Target::Name(collection.to_string()), sources.collect())],
        settings: context.settings.merge_job(!deltas.is_empty()),
    };
    let progress = steps.progress();
    let merging = move || merge_blocking(job, &deltas, &progress);
    let (outcomes, merged) = blocking(merging).await?;
    let Some(merged) = merged else {
        return Ok((outcomes, None));
    };
    steps.crash_point().await;
    if !merged.has_changed {
        return Ok((outcomes, None));
    }
    let progress = steps.progress();
    let closed = blocking(move || close(merged, &progress)).await?;
    steps.crash_point().await;
    Ok((outcomes, Some(closed)))
}

fn merge_blocking(
    job: MergeJob,
    deltas: &[(usize, PathBuf)],
    progress: &Progress,
) -> Result<(Outcomes, Option<Merged>)> {
    let (refused, mut merged) = job.merge()?;
    let place_of = |dir: &Path| {
        let same = deltas.iter().find(|(_, delta)| delta == dir);
        same.map(|(at, _)| *at)
    };
    let mut outcomes = Outcomes::new();
    for one in refused {
        if let Some(at) = place_of(one.source.as_ref()) {
            outcomes.push((at, Err(one.error.into())));
        }
    }
    if let Some(merged) = &mut merged {
        let records = merged.reports.iter().map(|report| report.records_after);
        progress.done_with(Step::Merged, 0, records.sum());
        for outcome in merged.take_outcomes() {
            if let Some(at) = place_of(&outcome.dir) {
                let space = outcome.other_space;
                let done = outcome.result.map(|(_, effects)| (effects, space));
                outcomes.push((at, done.map_err(Error::from)));
            }
        }
    }
    Ok((outcomes, merged))
}

fn close(mut merged: Merged, progress: &Progress) -> Result<Closed> {
    match merged.vacuum() {
        // Nothing is wrong with the snapshot; it stays larger than it could be.
        Err(error) if error.is_of_machine() => {
            tracing::warn!(code = error.code(), %error, "the database is not vacuumed");
        }
        vacuumed => vacuumed?,
    }
    let closed = merged.close()?;
    progress.done(Step::Closed);
    Ok(closed)
}

/// Verifies the result.
pub(super) async fn verify(
    closed: &Closed,
    collection: &CollectionName,
    steps: &Steps<'_>,
) -> Result<Verified> {
    let (closed, progress) = (closed.clone(), steps.progress());
    let collection = collection.to_string();
    blocking(move || {
        // One collection was merged, so one is found.
        let verified = closed.verify()?.pop();
        let verified = verified.ok_or(StoreError::NotConserved {
            collection,
            found: 0,
            expected: 0,
        })?;
        progress.done_with(Step::Verified, 0, verified.rows.records);
        Ok(verified)
    })
    .await
}

/// Rebuilds what is damaged, index files or full text: most likely the base had the damage.
pub(super) async fn rebuild(closed: Closed, damage: StoreError) -> Result<Closed> {
    blocking(move || Ok(closed.rebuild(&damage)?)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await?
}
