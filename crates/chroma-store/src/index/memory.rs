//! An index in memory: the graph, and the element of each id.

use std::collections::HashMap;
use std::path::Path;

use crate::{Collection, Space, StoreError, StoreResult};
use hnsw_graph::{Graph, Params};

use super::header::{MAX_DIMENSION, MAX_M};

/// The content of index files.
#[derive(Debug)]
pub(crate) struct MemoryIndex {
    pub(crate) graph: Graph,
    /// The live element of each id.
    pub(crate) elements: HashMap<String, u32>,
    /// Number of labels given out so far, those of delete-marked elements included.
    pub(crate) labels_given: u64,
}

impl MemoryIndex {
    /// An empty index with the parameters of the collection. An element gets no more links than the
    /// files can count.
    ///
    /// # Errors
    /// Vectors of `dimension` are too long for an index.
    pub(crate) fn new(collection: &Collection, dimension: u32, path: &Path) -> StoreResult<Self> {
        let config = &collection.config;
        let max_links = u64::from(config.max_neighbors).clamp(1, MAX_M) as usize;
        if u64::from(dimension) > MAX_DIMENSION {
            return Err(StoreError::BadConfiguration {
                path: path.to_path_buf(),
                collection: collection.name.to_string(),
                detail: format!(
                    "its dimension is {dimension}, an index has at most {MAX_DIMENSION}"
                ),
            });
        }
        Ok(Self::with(Params {
            dimension: dimension as usize,
            space: config.space,
            max_links,
            max_links_0: 2 * max_links,
            ef_construction: config.ef_construction as usize,
        }))
    }

    /// An empty index with the given parameters.
    pub(crate) fn with(params: Params) -> Self {
        Self {
            graph: Graph::new(params),
            elements: HashMap::new(),
            labels_given: 0,
        }
    }

    /// Sets the vector of `id`, as its user gave it. An equal vector stays where it is: a move
    /// costs as much as several inserts, and changes nothing.
    pub(crate) fn put(&mut self, id: String, vector: &[f32]) -> Put {
        let (stored, norm) = as_stored(vector, self.graph.params().space);
        if let Some(element) = self.elements.get(&id) {
            let bits = |x: &f32| x.to_bits();
            let old = self.graph.vector(*element).iter().map(bits);
            if self.graph.norm(*element).to_bits() == norm.to_bits()
                && old.eq(stored.iter().map(bits))
            {
                return Put::Unchanged;
            }
            self.graph.mark_deleted(*element);
        }
        self.add_stored(id, norm, stored.iter().copied());
        Put::Added
    }

    /// Adds a stored vector: normalised, if the space needs that.
    pub(crate) fn add_stored(
        &mut self,
        id: String,
        norm: f32,
        vector: impl IntoIterator<Item = f32>,
    ) {
        self.labels_given = self.labels_given.saturating_add(1);
        let label = u32::try_from(self.labels_given).unwrap_or(u32::MAX);
        let (element, row) = self.graph.add(label, norm);
        for (slot, value) in row.iter_mut().zip(vector) {
            *slot = value;
        }
        self.elements.insert(id, element);
    }

    /// Drops links and delete-marked elements, and gives out labels from 1 again: for a rebuild.
    pub(crate) fn compact(&mut self) {
        let numbers = self.graph.compact();
        for element in self.elements.values_mut() {
            if let Some(number) = numbers[*element as usize] {
                *element = number;
            }
        }
        self.labels_given = u64::from(self.graph.len());
    }

    /// Removes an id. Its element is only marked.
    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(element) = self.elements.remove(id) {
            self.graph.mark_deleted(element);
        }
    }
}

/// What [`MemoryIndex::put`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Added,
    Unchanged,
}

/// The vector and the norm that the files have for `vector`, to the bit as hnswlib computes them.
pub(crate) fn as_stored(vector: &[f32], space: Space) -> (Vec<f32>, f32) {
    if space != Space::Cosine {
        return (vector.to_vec(), 1.0);
    }
    // In this order, as hnswlib adds one after the other.
    let mut norm = vector.iter().fold(0.0, |sum, x| sum + x * x).sqrt();
    if !norm.is_finite() {
        let exact = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        #[expect(clippy::cast_possible_truncation, reason = "the nearest that there is")]
        let nearest = exact.sqrt() as f32;
        norm = nearest.min(f32::MAX);
    }
    let scale = 1.0 / (norm + 1e-30);
    (vector.iter().map(|x| x * scale).collect(), norm)
}
