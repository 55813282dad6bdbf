//! The graph that the log's changes make of the old one.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::{Engine, FoldOptions, FoldReport};
use crate::engine;
use crate::index::{IndexFiles, MemoryIndex, Put};
use crate::queue::Overlay;
use crate::{Collection, StoreError, StoreResult};

/// Vectors as the log has them: little-endian f32.
type Changes = Overlay<Vec<u8>>;

pub(super) struct Job<'j> {
    pub(super) connection: &'j Connection,
    pub(super) path: &'j Path,
    pub(super) collection: &'j Collection,
    pub(super) dimension: u32,
    pub(super) options: FoldOptions,
    pub(super) rebuild: Option<Engine>,
}

impl Job<'_> {
    pub(super) fn run(
        &self,
        files: Option<IndexFiles>,
        changes: Changes,
    ) -> StoreResult<(MemoryIndex, FoldReport)> {
        let anew = self.rebuild.or_else(|| {
            let files = files.as_ref()?;
            self.is_worn_out(files, &changes).then_some(Engine::Native)
        });
        let Some(files) = files else {
            return self.add_to(self.new_index()?, changes, self.rebuild);
        };
        if let Some(engine) = anew {
            return self.build_anew(files, changes, engine);
        }
        match files.load(changes.vectors()) {
            Ok(index) => self.add_to(index, changes, None),
            Err(error) if error.is_index_damage() => {
                // The vectors may be sound where the links are not.
                self.reopen(error)
                    .and_then(|files| self.build_anew(files, changes, Engine::Native))
            }
            Err(error) => Err(error),
        }
    }

    fn reopen(&self, error: StoreError) -> StoreResult<IndexFiles> {
        let dir = self.path.parent().unwrap_or(self.path);
        IndexFiles::open(dir, self.collection)?.ok_or(error)
    }

    fn new_index(&self) -> StoreResult<MemoryIndex> {
        MemoryIndex::new(self.collection, self.dimension, self.path)
    }

    /// Whether too many elements would be marked, or labels run out.
    fn is_worn_out(&self, files: &IndexFiles, changes: &Changes) -> bool {
        let replaced = changes.ids().filter(|id| files.contains(id)).count();
        let elements = files.elements() + changes.vectors();
        let marked = files.elements().saturating_sub(files.len()) + replaced;
        let limit = usize::from(self.options.rebuild_above_deleted_percent);
        let labels = files.labels_given() + changes.vectors() as u64;
        marked.saturating_mul(100) > elements.saturating_mul(limit) || labels > u64::from(u32::MAX)
    }

    /// Builds a graph of what the old files and the log have, dense and without marks.
    fn build_anew(
        &self,
        files: IndexFiles,
        changes: Changes,
        engine: Engine,
    ) -> StoreResult<(MemoryIndex, FoldReport)> {
        let mut index = self.new_index()?;
        let before = files.elements();
        index.graph.reserve(files.len() + changes.vectors());
        files.vectors(
            |id| !changes.changes(id),
            |id, norm, vector| index.add_stored(id, norm, vector),
        )?;
        let kept = index.elements.len();
        let (index, mut report) = self.add_to(index, changes, Some(engine))?;
        report.removed = (before - kept.min(before)) as u64;
        Ok((index, report))
    }

    fn add_to(
        &self,
        mut index: MemoryIndex,
        changes: Changes,
        anew: Option<Engine>,
    ) -> StoreResult<(MemoryIndex, FoldReport)> {
        let marked_before = marked(&index);
        let (mut inserted, mut unchanged) = (0, 0);
        let mut vector = Vec::with_capacity(self.dimension as usize);
        index.graph.reserve(changes.vectors());
        for (id, change) in changes.into_changes() {
            let Some(bytes) = change else {
                index.remove(&id);
                continue;
            };
            let (elements, _) = bytes.as_chunks::<4>();
            vector.clear();
            vector.extend(elements.iter().map(|element| f32::from_le_bytes(*element)));
            match index.put(id, &vector) {
                Put::Added => inserted += 1,
                Put::Unchanged => unchanged += 1,
            }
        }
        self.drop_ghosts(&mut index)?;
        let distances = self.link(&mut index, anew)?;
        let report = FoldReport {
            inserted,
            unchanged,
            removed: (marked(&index) - marked_before) as u64,
            rebuilt: anew,
            indexed: index.elements.len() as u64,
            distances,
        };
        Ok((index, report))
    }

    fn link(&self, index: &mut MemoryIndex, anew: Option<Engine>) -> StoreResult<u64> {
        let threads = self.options.thread_count();
        match anew {
            None | Some(Engine::Native) => {
                // Another graph needs other levels, the same one the same.
                let seed = self.options.seed ^ index.labels_given.rotate_left(32);
                let mut random = fastrand::Rng::with_seed(seed);
                Ok(index.graph.link(&mut random, threads))
            }
            Some(Engine::HnswRs) => engine::link(&mut index.graph).map(|()| 0),
        }
    }

    /// Takes out ids that have no record. chromadb 0.x leaves such vectors behind, and readers
    /// stumble over them.
    fn drop_ghosts(&self, index: &mut MemoryIndex) -> StoreResult<()> {
        let failed = || StoreError::sqlite(self.path, "compare vectors with records");
        let segment = self.collection.metadata_segment.to_string();
        let records: usize = self
            .connection
            .prepare_cached("SELECT count(*) FROM embeddings WHERE segment_id = ?1")
            .and_then(|mut statement| statement.query_row([&segment], |row| row.get(0)))
            .map_err(failed())?;
        if records >= index.elements.len() {
            return Ok(());
        }
        let records: HashSet<String> = self
            .connection
            .prepare("SELECT embedding_id FROM embeddings WHERE segment_id = ?1")
            .and_then(|mut statement| statement.query_map([&segment], |row| row.get(0))?.collect())
            .map_err(failed())?;
        let ghosts = index.elements.keys().filter(|id| !records.contains(*id));
        let ghosts: Vec<String> = ghosts.cloned().collect();
        for id in ghosts {
            index.remove(&id);
        }
        Ok(())
    }
}

fn marked(index: &MemoryIndex) -> usize {
    index.graph.len() as usize - index.elements.len()
}
