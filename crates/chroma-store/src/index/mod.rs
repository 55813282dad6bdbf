//! The HNSW files of a VECTOR segment: read with every bound checked, and written whole.
//!
//! Chroma's own loader checks almost nothing and crashes on bad files. This module must turn any
//! bytes into either a sound index or an error. It writes to new files only.

mod header;
mod id_maps;
mod level0;
mod links;
mod load;
mod memory;
mod pickle_remains;
mod pickle_scan;
mod remains;
mod write;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::{Collection, Space, StoreError, StoreResult};

use header::Header;
use id_maps::IdMaps;
use links::UpperLists;

pub(crate) use load::IndexFiles;
pub(crate) use memory::{MemoryIndex, Put, as_stored};
pub(crate) use remains::dimension_in;
pub(crate) use write::write;

const HEADER: &str = "header.bin";
const LEVEL0: &str = "data_level0.bin";
const LENGTH: &str = "length.bin";
const LINKS: &str = "link_lists.bin";
const ID_MAPS: &str = "index_metadata.pickle";

/// The index files of a segment, without the vectors, which are read from disk one by one.
#[derive(Debug)]
pub(crate) struct VectorIndex {
    path: PathBuf,
    header: Header,
    ids: IdMaps,
    /// Labels of the elements that are not delete-marked, with their positions in
    /// `data_level0.bin`.
    live: HashMap<u64, u32>,
    /// The highest label, those of delete-marked elements included.
    max_label: u64,
    /// Norms of the original vectors (cosine only).
    norms: Option<Vec<f32>>,
    /// Labels of vectors of which the original length is lost.
    unit: HashSet<u64>,
    level0: fs_err::File,
}

/// The folder of a collection's index files.
pub(crate) fn segment_dir(dir: &Path, collection: &Collection) -> PathBuf {
    dir.join(collection.vector_segment.to_string())
}

/// For the fuzz target: reads a pickle of id maps in every way that this module has.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_id_maps(bytes: &[u8]) -> Result<(), String> {
    let maps = IdMaps::parse(bytes)?;
    if maps.check().is_none() {
        assert!(maps.iter().all(|(id, label)| maps.label(id) == Some(label)));
    }
    Ok(())
}

pub(crate) fn bad(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::IndexFile {
        path: path.to_path_buf(),
        detail: detail.into(),
    }
}

/// Whether a collection's index files were ever written, as chromadb sees it.
pub(crate) fn is_written(dir: &Path, collection: &Collection) -> bool {
    let ids = segment_dir(dir, collection).join(ID_MAPS);
    ids.symlink_metadata().is_ok()
}

/// Checks what costs little: that the header is plausible and the file has all vectors.
pub(crate) fn check_sizes(dir: &Path, collection: &Collection) -> StoreResult<()> {
    let path = segment_dir(dir, collection);
    if path.join(ID_MAPS).symlink_metadata().is_err() {
        return Ok(());
    }
    let header = Header::read(&path.join(HEADER))?;
    level0::check_size(&open_file(&path.join(LEVEL0))?, &path.join(LEVEL0), &header)
}

impl VectorIndex {
    /// Opens the index files of a collection; `None` if nothing is indexed yet: no folder, no id
    /// maps, or empty ones. chromadb treats all three alike and replays the log.
    pub(crate) fn open(dir: &Path, collection: &Collection) -> StoreResult<Option<Self>> {
        Self::open_at(segment_dir(dir, collection), collection)
    }

    /// Opens the index files in the folder `path`.
    pub(crate) fn open_at(path: PathBuf, collection: &Collection) -> StoreResult<Option<Self>> {
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let Some(ids) = IdMaps::read(&path.join(ID_MAPS))? else {
            return Ok(None);
        };
        let header = Header::read(&path.join(HEADER))?;
        header.check_dimension(&path.join(HEADER), collection.dimension)?;
        let norms = match collection.config.space {
            Space::Cosine => Some(level0::read_norms(&path.join(LENGTH), header.elements)?),
            Space::L2 | Space::Ip => None,
        };
        let (level0, labels) = level0::scan(&path.join(LEVEL0), &header, norms.as_deref())?;
        Ok(Some(Self {
            header,
            ids,
            live: labels.live,
            max_label: labels.max,
            norms,
            unit: HashSet::new(),
            level0,
            path,
        }))
    }

    /// Checks what the vectors do not depend on: links, and the id maps against the graph. Returns
    /// findings with the invariants that they break.
    ///
    /// # Errors
    /// Bytes are out of bounds, or a file cannot be read.
    pub(crate) fn check(&self) -> StoreResult<Vec<(&'static str, String)>> {
        if !self.path.join(LENGTH).is_file() {
            return Err(bad(&self.path.join(LENGTH), "the file is missing"));
        }
        UpperLists::read(&self.path.join(LINKS), &self.header)?;
        let mut findings = Vec::new();
        if let Some(finding) = self.ids.check() {
            findings.push(("I3", finding));
        }
        let mapped = self
            .ids
            .labels()
            .filter(|label| self.live.contains_key(label))
            .count();
        if mapped != self.live.len() || mapped != self.ids.len() {
            let finding = format!(
                "{} ids are mapped, {} graph elements are live, {mapped} agree",
                self.ids.len(),
                self.live.len()
            );
            findings.push(("I3", finding));
        }
        if self.ids.total_elements_added < self.max_label {
            let finding = format!(
                "total_elements_added is {}, the highest label {}: the next vector would \
                 overwrite another",
                self.ids.total_elements_added, self.max_label
            );
            findings.push(("I4", finding));
        }
        Ok(findings)
    }

    /// Says on what in the id maps chromadb 0.x fails.
    pub(crate) fn check_for_0x(&self) -> Option<String> {
        self.ids.check_for_0x(self.header.dimension)
    }

    /// The indexed ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.ids()
    }

    /// Whether `id` is indexed.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.label(id).is_some()
    }

    /// The last sequence number that the files contain: the row in `max_seq_id`, or without one the
    /// value in the id maps.
    pub(crate) fn progress(&self, collection: &Collection) -> u64 {
        collection.vector_seq.or(self.legacy_seq()).unwrap_or(0)
    }

    /// `max_seq_id` of the id maps: the progress of chromadb up to 0.5.5.
    pub(crate) fn legacy_seq(&self) -> Option<u64> {
        self.ids.max_seq_id
    }

    /// The vector of `id` as its user gave it, little-endian f32; `None` if it is not indexed.
    pub(crate) fn vector(&self, id: &str) -> StoreResult<Option<Vec<u8>>> {
        let Some(label) = self.ids.label(id) else {
            return Ok(None);
        };
        let position = *self.live.get(&label).ok_or_else(|| {
            bad(
                &self.path.join(LEVEL0),
                format!("no live element has label {label}"),
            )
        })?;
        let mut bytes = vec![0; self.header.dimension as usize * 4];
        let offset = u64::from(position) * self.header.record_bytes as u64
            + self.header.vector_offset as u64;
        let mut file = &self.level0;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)?;
        if let Some(norms) = &self.norms {
            // Cosine files have the normalised vector. chromadb's `get` multiplies it by the norm,
            // and so does this.
            let norm = norms.get(position as usize).copied().unwrap_or(1.0);
            let (elements, _) = bytes.as_chunks_mut::<4>();
            for element in elements {
                *element = (f32::from_le_bytes(*element) * norm).to_le_bytes();
            }
        }
        Ok(Some(bytes))
    }
}

/// Reads a whole file, and refuses one of more than `limit` bytes.
fn read_bounded(path: &Path, limit: u64) -> StoreResult<Vec<u8>> {
    let file = open_file(path)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Err(bad(
            path,
            format!("{size} bytes, at most {limit} can be right"),
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_file(path: &Path) -> StoreResult<fs_err::File> {
    match fs_err::File::open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(bad(path, "the file is missing"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a folder has only files that this module writes.
pub(crate) fn holds_only_index_files(dir: &Path) -> StoreResult<bool> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let known = [HEADER, LEVEL0, LENGTH, LINKS, ID_MAPS];
        let known = known.iter().any(|name| entry.file_name() == *name);
        if !known || !entry.file_type()?.is_file() {
            return Ok(false);
        }
    }
    Ok(true)
}
