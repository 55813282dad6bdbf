//! Reads what is left of damaged index files: every vector that can still be matched with its
//! record.
//!
//! Links are ignored. A record is left out if its label has no id or its vector cannot be right. A
//! change that leaves the vector plausible cannot be detected.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read};
use std::path::Path;

use super::header::Header;
use super::id_maps::IdMaps;
use super::{
    HEADER, ID_MAPS, IndexFiles, LENGTH, LEVEL0, VectorIndex, level0, open_file, segment_dir,
};
use crate::{Collection, Space, StoreResult};

/// Vectors and labels, read at the offsets of a header.
#[derive(Debug)]
struct Remains {
    header: Header,
    /// Norms of the original vectors (cosine only).
    norms: Option<Vec<f32>>,
    /// Labels that have an id, with the positions of their elements.
    live: HashMap<u64, u32>,
    /// Labels of more than one element. Which of them is right cannot be decided.
    ambiguous: HashSet<u64>,
    /// Labels of vectors of which the original length is lost (cosine only).
    unit: HashSet<u64>,
    /// Elements that are not delete-marked and have a label without an id.
    nameless: u32,
}

impl VectorIndex {
    /// Opens what is left of the index files in `folder`, which may be those of `collection`;
    /// `None` if there are no id maps.
    ///
    /// # Errors
    /// The id maps or the vectors cannot be read at all.
    pub(crate) fn of_remains(folder: &Path, collection: &Collection) -> StoreResult<Option<Self>> {
        let Some((ids, remains)) = Remains::read(folder, collection)? else {
            return Ok(None);
        };
        let Remains {
            header,
            norms,
            live,
            unit,
            ..
        } = remains;
        Ok(Some(Self {
            unit,
            max_label: live.keys().copied().max().unwrap_or(0),
            level0: open_file(&folder.join(LEVEL0))?,
            path: folder.to_path_buf(),
            header,
            ids,
            live,
            norms,
        }))
    }

    /// Whether the vector of `id` has length 1 here because its original length is lost.
    pub(crate) fn has_lost_length(&self, id: &str) -> bool {
        let label = self.ids.label(id);
        label.is_some_and(|label| self.unit.contains(&label))
    }

    /// The ids in a folder's id maps; none if these cannot be read.
    pub(crate) fn ids_in(folder: &Path) -> HashSet<String> {
        match IdMaps::read_remains(&folder.join(ID_MAPS)) {
            Ok(Some(ids)) => ids.ids().map(str::to_owned).collect(),
            _ => HashSet::new(),
        }
    }
}

impl IndexFiles {
    /// Opens what is left of a collection's index files, if that is every vector. Links cannot be
    /// loaded from them.
    pub(crate) fn of_remains(dir: &Path, collection: &Collection) -> StoreResult<Option<Self>> {
        let path = segment_dir(dir, collection);
        let Some((ids, remains)) = Remains::read(&path, collection)? else {
            return Ok(None);
        };
        let elements = remains.live.values().max().map_or(0, |last| last + 1);
        let misses_ids = ids.are_remains && remains.nameless > 0;
        if misses_ids || remains.live.len() != ids.len() || !remains.unit.is_empty() {
            return Ok(None);
        }
        let header = remains.header.with_at_most(u64::from(elements));
        Ok(Some(Self {
            path,
            space: collection.config.space,
            header,
            ids,
        }))
    }
}

/// The dimension of the vectors in `folder`, as the header says.
pub(crate) fn dimension_in(folder: &Path) -> Option<u32> {
    let header = Header::read(&folder.join(HEADER)).ok()?;
    Some(header.dimension)
}

impl Remains {
    /// Reads vectors at the offsets of the header, or at those of the collection's parameters if
    /// more are found there.
    fn read(folder: &Path, collection: &Collection) -> StoreResult<Option<(IdMaps, Self)>> {
        let Some(ids) = IdMaps::read_remains(&folder.join(ID_MAPS))? else {
            return Ok(None);
        };
        let labels: HashSet<u64> = ids.labels().collect();
        let read = Header::read(&folder.join(HEADER)).ok();
        // Vectors of another length belong to another collection.
        let read = read.filter(|header| {
            let declared = collection.dimension;
            declared.is_none_or(|declared| declared == header.dimension)
        });
        let last = labels.iter().copied().max().unwrap_or(0);
        let assumed = collection
            .dimension
            .and_then(|dimension| Header::assumed(dimension, collection.config.max_neighbors))
            // Behind the elements, the file has capacity for more, filled with stale memory.
            .map(|header| header.with_at_most(ids.total_elements_added.max(last)));
        let mut best: Option<Self> = None;
        for header in read.into_iter().chain(assumed) {
            let found = Self::find(folder, header, &labels, collection.config.space)?;
            if best
                .as_ref()
                .is_none_or(|best| best.live.len() < found.live.len())
            {
                best = Some(found);
            }
        }
        Ok(best.map(|best| (ids, best)))
    }

    fn find(
        folder: &Path,
        header: Header,
        labels: &HashSet<u64>,
        space: Space,
    ) -> StoreResult<Self> {
        let file = open_file(&folder.join(LEVEL0))?;
        let whole_records = file.metadata()?.len() / header.record_bytes as u64;
        let elements = whole_records.min(u64::from(header.elements)) as u32;
        let norms = match space {
            Space::Cosine => Some(level0::norms_that_are_left(&folder.join(LENGTH), elements)),
            Space::L2 | Space::Ip => None,
        };
        let mut remains = Self {
            header,
            norms,
            live: HashMap::new(),
            ambiguous: HashSet::new(),
            unit: HashSet::new(),
            nameless: 0,
        };
        let mut file = BufReader::new(file);
        let mut record = vec![0; remains.header.record_bytes];
        for position in 0..elements {
            file.read_exact(&mut record)?;
            remains.take(position, &record, labels);
        }
        Ok(remains)
    }

    fn take(&mut self, position: u32, record: &[u8], labels: &HashSet<u64>) {
        let (label, _) = record[self.header.label_offset..].as_chunks::<8>();
        let label = label.first().map(|label| u64::from_le_bytes(*label));
        let is_deleted = level0::is_deleted(record);
        let Some(label) = label.filter(|label| labels.contains(label)) else {
            self.nameless += u32::from(!is_deleted);
            return;
        };
        let is_new = !is_deleted && !self.ambiguous.contains(&label);
        if is_new && self.can_be_right(label, position, record) {
            let other = self.live.insert(label, position);
            if other.is_some() {
                self.live.remove(&label);
                self.ambiguous.insert(label);
            }
        }
    }

    fn can_be_right(&mut self, label: u64, position: u32, record: &[u8]) -> bool {
        let vector = &record[self.header.vector_offset..self.header.label_offset];
        let (elements, _) = vector.as_chunks::<4>();
        let vector: Vec<f32> = elements.iter().map(|x| f32::from_le_bytes(*x)).collect();
        let Some(norms) = &mut self.norms else {
            return level0::squared(&vector).is_finite();
        };
        let position = position as usize;
        let norm = norms.get(position).copied().unwrap_or(f32::NAN);
        if level0::is_normalised(&vector, norm) {
            return true;
        }
        // The vector may be sound although its length is lost.
        let is_unit = level0::is_normalised(&vector, 1.0);
        if is_unit {
            self.unit.insert(label);
            norms.resize(norms.len().max(position + 1), 1.0);
            norms[position] = 1.0;
        }
        is_unit
    }
}
