//! A navigable small-world graph (HNSW) of vectors in memory: search, insertion, deletion marks.
//!
//! The algorithm is hnswlib's (Malkov and Yashunin), so hnswlib can insert into a graph of this
//! crate, and this crate into one of hnswlib's. The crate keeps vectors, links and marks apart. It
//! knows no file format: `chroma-store` writes and reads the files. It opens no file, reads no
//! clock, and draws random numbers only from the generator that the caller passes.

mod block;
mod distance;
mod health;
mod insert;
mod links;
mod reattach;
mod search;
mod select;
mod space;
#[cfg(test)]
mod tests;
mod vectors;

use std::sync::Mutex;

use distance::{Between, Exact, Shadow};
use insert::{Entry, Inserter};
use links::Links;
use search::Candidate;
use vectors::Vectors;

use distance::Kernels;
pub use health::{Degree, GraphHealth, SampledRecall};
pub use search::Scratch;
pub use space::Space;

/// The highest level. hnswlib draws levels without a bound, and a graph of 2^32 elements stays far
/// below this.
const MAX_LEVEL: usize = 32;

/// Parameters of a graph. They cannot change later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Elements per vector; each is an f32.
    pub dimension: usize,
    /// The distance that elements are compared by.
    pub space: Space,
    /// Most links per element above level 0, and most links that a new element gets at a level
    /// (hnswlib's `M`).
    pub max_links: usize,
    /// Most links per element at level 0 (hnswlib's `maxM0`, twice `M`).
    pub max_links_0: usize,
    /// Candidates that an insertion keeps (hnswlib's `ef_construction`).
    pub ef_construction: usize,
}

/// A graph of vectors. Elements are numbered from 0, in the order in which they were added.
#[derive(Debug)]
pub struct Graph {
    params: Params,
    kernels: Kernels,
    vectors: Vectors,
    /// Norms of the original vectors; 1 in spaces that do not normalise.
    norms: Vec<f32>,
    labels: Vec<u32>,
    deleted: Vec<bool>,
    links: Links,
    entry: Option<Entry>,
    /// The first element that was added and is not linked yet.
    linked: u32,
    shadow: Shadow,
}

/// An element that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The number of the element, from 0.
    pub element: u32,
    /// Its distance from the query, in the graph's space.
    pub distance: f32,
}

impl Graph {
    /// Makes an empty graph.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            kernels: Kernels::detect(),
            vectors: Vectors::new(params.dimension),
            norms: Vec::new(),
            labels: Vec::new(),
            deleted: Vec::new(),
            links: Links::new(params.max_links, params.max_links_0),
            entry: None,
            linked: 0,
            shadow: Shadow::default(),
        }
    }

    /// Reserves room for exactly `elements` more, so that growth copies nothing. If the system
    /// refuses, elements get their room one by one.
    pub fn reserve(&mut self, elements: usize) {
        self.vectors.reserve(elements);
        self.links.reserve(elements);
        let _ = self.norms.try_reserve_exact(elements);
        let _ = self.labels.try_reserve_exact(elements);
        let _ = self.deleted.try_reserve_exact(elements);
    }

    /// Bytes of memory that an element takes, without links above level 0.
    pub fn element_bytes(&self) -> usize {
        4 * self.vectors.padded() + 4 * (1 + self.params.max_links_0) + 32
    }

    /// The name of the instruction set that computes distances on this machine, such as `avx2`.
    pub fn instruction_set(&self) -> &'static str {
        self.kernels.name()
    }

    /// The parameters of the graph.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Number of elements, delete-marked ones included.
    pub fn len(&self) -> u32 {
        u32::try_from(self.labels.len()).unwrap_or(u32::MAX)
    }

    /// Whether the graph has no element, not even a delete-marked one.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The numbers of the elements that are not delete-marked, in ascending order.
    pub fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).filter(|element| !self.is_deleted(*element))
    }

    /// The label of an element, as it was given to [`Graph::add`] or [`Graph::adopt`].
    pub fn label(&self, element: u32) -> u32 {
        self.labels[element as usize]
    }

    /// Whether an element is delete-marked.
    pub fn is_deleted(&self, element: u32) -> bool {
        self.deleted[element as usize]
    }

    /// Marks an element as deleted: it still routes searches, and no search returns it.
    pub fn mark_deleted(&mut self, element: u32) {
        self.deleted[element as usize] = true;
    }

    /// The stored vector of an element, `dimension` long. It is normalised in a cosine space.
    pub fn vector(&self, element: u32) -> &[f32] {
        self.vectors.get(element)
    }

    /// The norm of an element's original vector; 1 in spaces that do not normalise.
    pub fn norm(&self, element: u32) -> f32 {
        self.norms[element as usize]
    }

    /// Adds an element that is not linked yet. Returns its number and its row, which the caller
    /// fills with the stored vector: normalised in a cosine space.
    pub fn add(&mut self, label: u32, norm: f32) -> (u32, &mut [f32]) {
        let element = self.len();
        self.labels.push(label);
        self.norms.push(norm);
        self.deleted.push(false);
        (element, self.vectors.push_zeros())
    }

    /// Links all added elements on `threads` threads, and ends the series as [`Graph::settle`]
    /// does. `random` draws the levels. Returns how many distances it computed.
    pub fn link(&mut self, random: &mut fastrand::Rng, threads: usize) -> u64 {
        let new = (self.len() - self.linked) as usize;
        let distances = self.link_some(random, threads, new);
        self.settle();
        distances
    }

    /// Links all added elements while more will come: `new` elements in all. Call [`Graph::settle`]
    /// after the last call. Returns how many distances it computed.
    pub fn link_some(&mut self, random: &mut fastrand::Rng, threads: usize, new: usize) -> u64 {
        let (first, end) = (self.linked, self.len());
        let scale = match self.params.max_links {
            0 | 1 => 0.0,
            more => 1.0 / (more as f64).ln(),
        };
        for _ in first..end {
            self.links.push(draw_level(random, scale));
        }
        let shadow = std::mem::take(&mut self.shadow);
        self.shadow = shadow.updated(self.exact(), new, threads);
        let (entry, distances) = match &self.shadow {
            Shadow::Codes { codes, .. } => self.inserter(codes).link(first, end, threads),
            _ => self.inserter(&self.exact()).link(first, end, threads),
        };
        self.entry = entry;
        self.linked = end;
        distances
    }

    /// Ends a series of insertions: links elements that no search would reach, and frees memory
    /// that only insertions need.
    pub fn settle(&mut self) {
        self.shadow = Shadow::default();
        let entry = self.entry_point();
        reattach::reattach(&self.links, entry, &mut self.reached(), self.live());
    }

    /// Number of elements that are not linked yet.
    pub fn not_linked(&self) -> u32 {
        self.len() - self.linked
    }

    /// Drops all links and all delete-marked elements. The other elements move up and get labels
    /// from 1. Returns the new number of each old element; `None` for dropped ones.
    pub fn compact(&mut self) -> Vec<Option<u32>> {
        let mut numbers = vec![None; self.labels.len()];
        let live: Vec<u32> = self.live().collect();
        for (to, from) in (0_u32..).zip(live.iter().copied()) {
            numbers[from as usize] = Some(to);
            self.vectors.move_row(from, to);
            self.norms[to as usize] = self.norms[from as usize];
            self.labels[to as usize] = to + 1;
        }
        self.vectors.truncate(live.len());
        self.norms.truncate(live.len());
        self.labels.truncate(live.len());
        self.deleted = vec![false; live.len()];
        self.links = Links::new(self.params.max_links, self.params.max_links_0);
        self.shadow = Shadow::default();
        self.entry = None;
        self.linked = 0;
        numbers
    }

    /// For each element, whether searches can reach it.
    pub(crate) fn reached(&self) -> Vec<bool> {
        reattach::reached_from(&self.links, self.entry_point())
    }

    fn inserter<'g, B: Between>(&'g self, between: &'g B) -> Inserter<'g, B> {
        Inserter {
            links: &self.links,
            between,
            deleted: &self.deleted,
            ef_construction: self.params.ef_construction.max(self.params.max_links),
            max_new: self.params.max_links,
            entry: Mutex::new(self.entry),
        }
    }

    fn exact(&self) -> Exact<'_> {
        Exact {
            kernels: self.kernels,
            space: self.params.space,
            vectors: &self.vectors,
        }
    }

    /// Finds the `k` nearest elements that are not delete-marked and that `wanted` accepts, nearest
    /// first. `query` is in stored form: normalised in a cosine space. The search keeps `ef`
    /// candidates, at least `k`.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        wanted: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<Found> {
        let Some(entry) = self.entry else {
            return Vec::new();
        };
        let query = self.vectors.padded_copy(query);
        let from = self.exact().at(query.row(0));
        let mut start = Candidate::new(distance::Origin::to(&from, entry.element), entry.element);
        for level in (1..=entry.level).rev() {
            start = search::descend(&self.links, from, start, level, &mut scratch.distances);
        }
        let wanted = |element: u32| !self.deleted[element as usize] && wanted(element);
        let mut found = search::nearest(&self.links, from, &[start], 0, ef.max(k), wanted, scratch);
        found.truncate(k);
        found
            .into_iter()
            .map(|candidate| Found {
                element: candidate.element(),
                distance: candidate.distance(),
            })
            .collect()
    }

    /// The distance between the vectors of two elements.
    pub fn distance(&self, left: u32, right: u32) -> f32 {
        distance::Origin::to(&self.exact().origin(left), right)
    }

    /// Distances from an element to `others`.
    fn distances(&self, element: u32, others: &[u32]) -> Vec<f32> {
        let exact = self.exact();
        let from = exact.origin(element);
        others
            .iter()
            .map(|other| distance::Origin::to(&from, *other))
            .collect()
    }

    /// The highest level of an element, from 0.
    pub fn level_of(&self, element: u32) -> usize {
        self.links.level_of(element)
    }

    /// The neighbours of an element at a level. None if the element does not reach the level.
    pub fn links_of(&self, element: u32, level: usize) -> impl Iterator<Item = u32> + '_ {
        self.links.of(element, level)
    }

    /// The element at which searches enter; `None` in an empty graph.
    pub fn entry_point(&self) -> Option<u32> {
        self.entry.map(|entry| entry.element)
    }

    /// The highest level of any element; `None` in an empty graph.
    pub fn top_level(&self) -> Option<usize> {
        self.entry.map(|entry| entry.level)
    }

    /// Links all added elements with `lists` of another algorithm: neighbours by element and level.
    /// Searches enter at `entry`. The caller guarantees that every neighbour is an element of its
    /// level, and calls [`Graph::settle`].
    pub fn link_as(&mut self, lists: Vec<Vec<Vec<u32>>>, entry: u32) {
        self.links.reserve(lists.len());
        for (element, lists) in (self.linked..).zip(lists) {
            self.links.push(lists.len().saturating_sub(1));
            for (level, neighbours) in lists.iter().enumerate() {
                self.links.set(element, level, neighbours);
            }
        }
        self.linked = self.len();
        self.enter_at(entry);
    }

    /// Appends rows for the vectors of the next `count` elements. The caller fills them, and then
    /// adds the elements with [`Graph::adopt`].
    pub fn rows(&mut self, count: usize) -> impl Iterator<Item = &mut [f32]> {
        self.vectors.push_rows(count)
    }

    /// Adds an element of an existing graph whose vector is in a row of [`Graph::rows`]. The caller
    /// writes its lists with [`Graph::set_links`].
    pub fn adopt(&mut self, label: u32, norm: f32, deleted: bool, level: usize) {
        self.links.push(level);
        self.linked += 1;
        self.deleted.push(deleted);
        self.labels.push(label);
        self.norms.push(norm);
    }

    /// Writes a list of an adopted element. The caller guarantees that every neighbour is an
    /// element of the level.
    pub fn set_links(&mut self, element: u32, level: usize, neighbours: &[u32]) {
        self.links.set(element, level, neighbours);
    }

    /// Lets searches enter at an element. It must be of the highest level.
    pub fn enter_at(&mut self, element: u32) {
        self.entry = Some(Entry {
            element,
            level: self.links.level_of(element),
        });
    }

    /// Makes memory that searches in this graph use again and again.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(self.labels.len())
    }
}

/// Draws an exponentially distributed level, as hnswlib does.
fn draw_level(random: &mut fastrand::Rng, scale: f64) -> usize {
    let uniform = 1.0 - random.f64();
    let level = (-uniform.ln() * scale).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number that is not negative"
    )]
    let level = level as usize;
    level.min(MAX_LEVEL)
}
