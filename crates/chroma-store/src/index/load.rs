//! Reads index files into memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::header::{Header, MAX_M};
use super::id_maps::IdMaps;
use super::level0::{self, LinkCheck, Records, is_normalised, not_normalised};
use super::links::UpperLists;
use super::{HEADER, ID_MAPS, LENGTH, LEVEL0, LINKS, MemoryIndex, bad, open_file, segment_dir};
use crate::{Collection, Space, StoreResult};
use hnsw_graph::{Graph, Params};

/// The open index files of a collection: header and id maps are read, vectors and links are not.
#[derive(Debug)]
pub(crate) struct IndexFiles {
    pub(super) path: PathBuf,
    pub(super) space: Space,
    pub(super) header: Header,
    pub(super) ids: IdMaps,
}

impl IndexFiles {
    /// Opens the files of a collection; `None` if nothing is indexed yet.
    pub(crate) fn open(dir: &Path, collection: &Collection) -> StoreResult<Option<Self>> {
        let path = segment_dir(dir, collection);
        Self::open_at(path, collection.config.space, collection.dimension)
    }

    /// Opens the files in the folder `path`. Their vectors must have `dimension`, if that is known.
    pub(crate) fn open_at(
        path: PathBuf,
        space: Space,
        dimension: Option<u32>,
    ) -> StoreResult<Option<Self>> {
        let Some(ids) = IdMaps::read(&path.join(ID_MAPS))? else {
            return Ok(None);
        };
        let header = Header::read(&path.join(HEADER))?;
        header.check_dimension(&path.join(HEADER), dimension)?;
        let level0 = path.join(LEVEL0);
        level0::check_size(&open_file(&level0)?, &level0, &header)?;
        Ok(Some(Self {
            path,
            space,
            header,
            ids,
        }))
    }

    /// Whether `id` is indexed.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.label(id).is_some()
    }

    /// How many ids are indexed.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The space that the vectors are stored for.
    pub(crate) fn space(&self) -> Space {
        self.space
    }

    /// Elements of the graph, delete-marked ones included.
    pub(crate) fn elements(&self) -> usize {
        self.header.elements as usize
    }

    /// The indexed ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.ids()
    }

    /// The last sequence number that the files contain: the row in `max_seq_id`, or without one the
    /// value that chromadb up to 0.5.5 kept in the id maps.
    pub(crate) fn progress(&self, collection: &Collection) -> u64 {
        collection.vector_seq.or(self.ids.max_seq_id).unwrap_or(0)
    }

    /// Loads the index, with room for `more` elements, and checks every byte.
    pub(crate) fn load(&self, more: usize) -> StoreResult<MemoryIndex> {
        let (path, header) = (&self.path, &self.header);
        if let Some(finding) = self.ids.check() {
            return Err(bad(&path.join(ID_MAPS), finding));
        }
        let upper = UpperLists::read(&path.join(LINKS), header)?;
        let norms = self.norms()?;
        let mut graph = Graph::new(Params {
            dimension: header.dimension as usize,
            space: self.space,
            max_links: header.max_links.min(MAX_M as usize),
            max_links_0: header.max_links_0.min(2 * MAX_M as usize),
            ef_construction: header.ef_construction,
        });
        graph.reserve(header.elements as usize + more);
        let mut by_label = HashMap::with_capacity(header.elements as usize);
        let mut highest = 0;
        let mut list = Vec::new();
        let level0 = path.join(LEVEL0);
        let mut records = Records::open(&level0, header, LinkCheck::Strict)?;
        while records.ready() > 0 {
            let rows = graph.rows(records.ready()).collect();
            for record in records.read(rows)? {
                let element = record.position;
                let label = u32::try_from(record.label).unwrap_or(u32::MAX);
                let norm = norms.as_ref().map(|norms| norms[element as usize]);
                let vector = graph.vector(element);
                if !record.deleted && norm.is_some_and(|norm| !is_normalised(vector, norm)) {
                    return Err(not_normalised(&level0, element));
                }
                let norm = norm.unwrap_or(1.0);
                let level = upper.level_of(element);
                graph.adopt(label, norm, record.deleted, level);
                for level in 0..=level {
                    list.clear();
                    let mut take = |other: u32| {
                        // hnswlib tolerates such links and has no use for them.
                        if other != element && !list.contains(&other) {
                            list.push(other);
                        }
                    };
                    if level == 0 {
                        record.links().for_each(&mut take);
                    } else {
                        upper.neighbours(element, level).for_each(&mut take);
                    }
                    graph.set_links(element, level, &list);
                }
                highest = highest.max(record.label);
                if !record.deleted {
                    by_label.insert(record.label, element);
                }
            }
        }
        if header.elements > 0 {
            graph.enter_at(header.entry_point);
        }
        let live = by_label.len();
        let labels_given = self.ids.total_elements_added.max(highest);
        let elements: HashMap<String, u32> = self
            .ids
            .iter()
            .filter_map(|(id, label)| {
                by_label
                    .remove(&label)
                    .map(|element| (id.to_owned(), element))
            })
            .collect();
        if elements.len() != live || !by_label.is_empty() {
            let detail = format!(
                "{live} graph elements are live, {} of them have an id",
                elements.len()
            );
            return Err(bad(&path.join(ID_MAPS), detail));
        }
        Ok(MemoryIndex {
            graph,
            elements,
            labels_given,
        })
    }

    /// Passes every indexed id, its norm and its stored vector to `visit`. Does not read links: for
    /// a rebuild.
    pub(crate) fn vectors(&self, mut visit: impl FnMut(String, f32, &[f32])) -> StoreResult<()> {
        let norms = self.norms()?;
        let mut by_label: HashMap<u64, &str> =
            self.ids.iter().map(|(id, label)| (label, id)).collect();
        let level0 = self.path.join(LEVEL0);
        let records = Records::open(&level0, &self.header, LinkCheck::Skip)?;
        let mut wrong = None;
        records.for_each(|record, vector| {
            if !record.deleted
                && let Some(id) = by_label.remove(&record.label)
            {
                let norm = norms.as_ref().map(|norms| norms[record.position as usize]);
                if norm.is_some_and(|norm| !is_normalised(vector, norm)) {
                    wrong.get_or_insert(record.position);
                }
                visit(id.to_owned(), norm.unwrap_or(1.0), vector);
            }
        })?;
        if let Some(element) = wrong {
            return Err(not_normalised(&level0, element));
        }
        match by_label.into_iter().next() {
            Some((label, id)) => {
                let detail = format!("no live element has label {label}, that of `{id}`");
                Err(bad(&level0, detail))
            }
            None => Ok(()),
        }
    }

    fn norms(&self) -> StoreResult<Option<Vec<f32>>> {
        match self.space {
            Space::Cosine => {
                level0::read_norms(&self.path.join(LENGTH), self.header.elements).map(Some)
            }
            Space::L2 | Space::Ip => Ok(None),
        }
    }
}
