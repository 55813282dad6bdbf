//! Entry points for the fuzz targets in `fuzz/`, and for the tests that run their committed inputs.
//!
//! Any bytes must give a sound index or an error: no panic, and no allocation beyond a constant
//! multiple of the input's size.

use std::path::Path;

use crate::collection::{self, SegmentMetadata};
use crate::index::{self, IndexFiles, MemoryIndex};
use crate::{EmbeddingFunction, HnswConfig, SchemaLevel, Space, StoreError, StoreResult};

/// The index files, in the order in which an input has them.
const FILES: [&str; 5] = [
    "header.bin",
    "data_level0.bin",
    "length.bin",
    "link_lists.bin",
    "index_metadata.pickle",
];

/// Splits `input` into index files and writes them into the folder `dir`. The input begins with the
/// lengths of the first four files, as little-endian u32. The rest is the fifth file.
///
/// # Errors
/// A file cannot be written.
pub fn write_index_files(dir: &Path, input: &[u8]) -> StoreResult<()> {
    let (lengths, mut rest) = input.split_at(input.len().min(16));
    let (lengths, _) = lengths.as_chunks::<4>();
    for (at, name) in FILES.iter().enumerate() {
        let length = match lengths.get(at) {
            Some(length) => u32::from_le_bytes(*length) as usize,
            None => rest.len(),
        };
        let (file, after) = rest.split_at(length.min(rest.len()));
        fs_err::write(dir.join(name), file)?;
        rest = after;
    }
    Ok(())
}

/// Reads the index files in `dir` in every way that this crate has. If they are sound, searches
/// them, writes them to the new folder `again`, and reads that.
///
/// # Errors
/// The files are not sound.
pub fn read_index_files(dir: &Path, again: &Path, space: Space) -> StoreResult<()> {
    let damaged = |detail: &str| StoreError::IndexFile {
        path: dir.to_path_buf(),
        detail: detail.to_owned(),
    };
    let files = IndexFiles::open_at(dir.to_path_buf(), space, None)?;
    let files = files.ok_or_else(|| damaged("nothing is indexed"))?;
    let mut vectors = 0;
    let known = files.vectors(|_, _, vector| {
        vectors += 1;
        assert!(vector.iter().all(|element| element.is_finite()));
    });
    let index = files.load(1)?;
    // Files that load have sound vectors as well.
    known?;
    check(&index, vectors);
    index::write(again, &index, SchemaLevel::L15, 1)?;
    let written = IndexFiles::open_at(again.to_path_buf(), space, None)?;
    let written = written.ok_or_else(|| damaged("what was written is empty"))?;
    assert_eq!(written.load(0)?.elements, index.elements);
    Ok(())
}

/// Reads `input` as a pickle of id maps.
///
/// # Errors
/// It is not one.
pub fn read_id_maps(input: &[u8]) -> Result<(), String> {
    index::read_id_maps(input)
}

/// The text of a configuration column in a directory that is made like a delta, when no embedding
/// function is allowed.
pub fn only_allowed_embedding_functions(column: &str) -> String {
    collection::only_allowed(column.to_owned(), &[]).0
}

/// The embedding functions that the column names, without chromadb's default.
pub fn embedding_functions(column: &str) -> Vec<EmbeddingFunction> {
    collection::named([Some(column)])
}

/// The index parameters of a collection with these columns and without metadata.
///
/// # Errors
/// chromadb cannot read one of the columns either.
pub fn index_parameters(config: Option<&str>, schema: Option<&str>) -> Result<HnswConfig, String> {
    HnswConfig::resolve(config, schema, &SegmentMetadata::new())
}

fn check(index: &MemoryIndex, vectors: usize) {
    assert_eq!(index.elements.len(), vectors);
    let graph = &index.graph;
    let mut scratch = graph.scratch();
    for element in graph.live().take(3) {
        let found = graph.search(graph.vector(element), 3, 10, |_| true, &mut scratch);
        assert!(found.iter().all(|one| !graph.is_deleted(one.element)));
    }
    let health = graph.health(10);
    assert_eq!(health.elements - health.deleted, vectors as u64);
}
