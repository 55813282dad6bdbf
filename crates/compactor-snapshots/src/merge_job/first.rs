//! The directory of a collection's first snapshot: made for the first source that can be merged, so that one
//! that cannot does not choose level, space and configuration for the others.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chroma_store::{
    CreateOptions, EmbeddingFunction, LikeOptions, MergeOptions, NewIds, Open, SchemaLevel, Store,
    StoreError, StoreResult, create, create_like, space_of,
};

use super::{Refused, Source, Target};

/// What a collection's first snapshot is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSnapshot {
    /// The first delta: its schema level and its collection's configuration.
    LikeDelta,
    /// An empty directory at this level, with the first delta's space.
    AtLevel(SchemaLevel),
}

/// How the directory of a first snapshot is made.
#[derive(Debug, Clone)]
pub struct First {
    /// What it is made from.
    pub snapshot: FirstSnapshot,
    /// The ids of its collection and segments.
    pub ids: NewIds,
    /// Embedding functions that the first delta may give to the collection, besides chromadb's default.
    pub embedding_functions: Vec<EmbeddingFunction>,
}

impl First {
    /// Makes the directory for the first of the sources that can be merged into one like it. Those before it
    /// are moved to `refused`. Without any such source there is no directory.
    pub(super) fn make(
        &self,
        dir: &Path,
        sources: &mut Vec<(Target, Vec<Source>)>,
        merge: MergeOptions,
        refused: &mut Vec<Refused>,
    ) -> StoreResult<Option<Store<Open>>> {
        for (target, sources) in sources {
            let Target::Name(name) = target else { continue };
            while let Some(Source::Delta(delta)) = sources.first() {
                match self.make_like(dir, name, delta, merge) {
                    Ok(store) => return Ok(Some(store)),
                    Err(error) => refused.push(Refused {
                        source: sources.remove(0),
                        error,
                    }),
                }
                remove_if_there(dir)?;
            }
        }
        Ok(None)
    }

    /// An empty directory like the delta, after the delta was merged into such a one on trial.
    fn make_like(
        &self,
        dir: &Path,
        name: &str,
        delta: &PathBuf,
        merge: MergeOptions,
    ) -> StoreResult<Store<Open>> {
        let (mut trial, left_out) = self.create(dir, name, delta, merge.longest_value)?;
        let on_trial = MergeOptions {
            flush: chroma_store::FlushOptions {
                at_least: 0,
                ..merge.flush
            },
            ..merge
        };
        let mut report = trial.merge(name, &[delta], on_trial)?;
        if let Some(outcome) = report.outcomes.pop() {
            outcome.result?;
        }
        drop(trial);
        remove_if_there(dir)?;
        for function in left_out {
            tracing::warn!(
                %function,
                "the first delta names an embedding function, which the snapshot will not: readers would send it their queries; collections.embedding_functions lets it in"
            );
        }
        Ok(self.create(dir, name, delta, merge.longest_value)?.0)
    }

    /// The directory, and the embedding functions of the delta that it was not given.
    fn create(
        &self,
        dir: &Path,
        name: &str,
        delta: &Path,
        longest_value: Option<u32>,
    ) -> StoreResult<(Store<Open>, Vec<EmbeddingFunction>)> {
        match self.snapshot {
            FirstSnapshot::LikeDelta => {
                let options = LikeOptions {
                    embedding_functions: &self.embedding_functions,
                    longest_value,
                };
                create_like(dir, delta, name, self.ids, options)
            }
            FirstSnapshot::AtLevel(level) => {
                let options = CreateOptions {
                    collection: name.to_owned(),
                    space: space_of(delta, name, longest_value)?,
                    level,
                };
                Ok((create(dir, &options, self.ids)?, Vec::new()))
            }
        }
    }
}

fn remove_if_there(dir: &Path) -> StoreResult<()> {
    match fs_err::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::from(error)),
        _ => Ok(()),
    }
}
