//! A navigable small-world graph of vectors in memory: search, insertion, deletion marks.
//!
//! The algorithm is hnswlib's (Malkov and Yashunin), so hnswlib can insert into a graph that this
//! crate built, and this crate into one of hnswlib's. Vectors, links and marks are kept apart. The
//! crate knows no file format: `chroma-store` writes and reads the files. It opens no file, reads no
//! clock, and draws random numbers only from the generator that its caller passes.

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

/// hnswlib draws levels without a bound; that of a graph of 2^32 elements is far below this.
const MAX_LEVEL: usize = 32;

/// What a graph is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Elements per vector.
    pub dimension: usize,
    /// Distance space.
    pub space: Space,
    /// Most links per element above level 0, and most that a new element gets.
    pub max_links: usize,
    /// Most links per element at level 0.
    pub max_links_0: usize,
    /// Candidates kept while an element is inserted.
    pub ef_construction: usize,
}

/// A graph of vectors. Elements are numbered from 0, in the order in which they were added.
#[derive(Debug)]
pub struct Graph {
    params: Params,
    kernels: Kernels,
    vectors: Vectors,
    /// Norms of the original vectors; 1 where the space does not normalise.
    norms: Vec<f32>,
    labels: Vec<u32>,
    deleted: Vec<bool>,
    links: Links,
    entry: Option<Entry>,
    /// Elements from here on were added and are not linked yet.
    linked: u32,
    shadow: Shadow,
}

/// An element that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Its number.
    pub element: u32,
    /// Its distance from the query.
    pub distance: f32,
}

impl Graph {
    /// An empty graph.
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

    /// Asks for room for exactly `elements` more, so that growing does not copy what is there. No
    /// more than a wish: where there is no such room, elements get it one by one.
    pub fn reserve(&mut self, elements: usize) {
        self.vectors.reserve(elements);
        self.links.reserve(elements);
        let _ = self.norms.try_reserve_exact(elements);
        let _ = self.labels.try_reserve_exact(elements);
        let _ = self.deleted.try_reserve_exact(elements);
    }

    /// Bytes that an element takes.
    pub fn element_bytes(&self) -> usize {
        4 * self.vectors.padded() + 4 * (1 + self.params.max_links_0) + 32
    }

    /// The instruction set that distances are computed with on this machine.
    pub fn instruction_set(&self) -> &'static str {
        self.kernels.name()
    }

    /// What it was built with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Elements, delete-marked ones included.
    pub fn len(&self) -> u32 {
        u32::try_from(self.labels.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Elements that are not delete-marked.
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

    /// Marks an element: it routes searches still, but is not found any more.
    pub fn mark_deleted(&mut self, element: u32) {
        self.deleted[element as usize] = true;
    }

    /// The stored vector of an element: normalised under cosine.
    pub fn vector(&self, element: u32) -> &[f32] {
        self.vectors.get(element)
    }

    /// The norm of an element's original vector.
    pub fn norm(&self, element: u32) -> f32 {
        self.norms[element as usize]
    }

    /// Adds an element that is not linked yet, its vector to be filled in by the caller as it is
    /// to be stored.
    pub fn add(&mut self, label: u32, norm: f32) -> (u32, &mut [f32]) {
        let element = self.len();
        self.labels.push(label);
        self.norms.push(norm);
        self.deleted.push(false);
        (element, self.vectors.push_zeros())
    }

    /// Links everything that was added, on `threads` threads; `random` draws the levels. Gives the
    /// number of distances that were computed.
    pub fn link(&mut self, random: &mut fastrand::Rng, threads: usize) -> u64 {
        let new = (self.len() - self.linked) as usize;
        let distances = self.link_some(random, threads, new);
        self.settle();
        distances
    }

    /// As [`Graph::link`], with more to come: `new` elements in all. [`Graph::settle`] ends it.
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

    /// Ends a series of insertions: every element can be found, and memory that only insertion
    /// needs is given back.
    pub fn settle(&mut self) {
        self.shadow = Shadow::default();
        let entry = self.entry_point();
        reattach::reattach(&self.links, entry, &mut self.reached(), self.live());
    }

    /// Elements that are not linked yet.
    pub fn not_linked(&self) -> u32 {
        self.len() - self.linked
    }

    /// Forgets all links and the elements that are delete-marked; the others move up and get the
    /// labels from 1. Gives the new number of each old element.
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

    /// Which elements searches can get to.
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

    /// The `k` nearest elements that are neither delete-marked nor refused by `wanted`, nearest
    /// first. `query` is as vectors are stored; `ef` candidates are kept.
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

    /// The distance between two elements.
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

    /// The elements that an element links to at a level.
    pub fn links_of(&self, element: u32, level: usize) -> impl Iterator<Item = u32> + '_ {
        self.links.of(element, level)
    }

    /// The element at which searches enter; `None` in an empty graph.
    pub fn entry_point(&self) -> Option<u32> {
        self.entry.map(|entry| entry.element)
    }

    /// The highest level of any element.
    pub fn top_level(&self) -> Option<usize> {
        self.entry.map(|entry| entry.level)
    }

    /// Links everything that was added as somebody else found: per element its neighbours by
    /// level. The caller answers for every neighbour being an element of its level, and settles.
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

    /// Where the vectors of the next `count` elements belong, for [`Graph::adopt`] to come after.
    pub fn rows(&mut self, count: usize) -> impl Iterator<Item = &mut [f32]> {
        self.vectors.push_rows(count)
    }

    /// Adds an element that is linked already and has a row, its lists to be filled in by the
    /// caller.
    pub fn adopt(&mut self, label: u32, norm: f32, deleted: bool, level: usize) {
        self.links.push(level);
        self.linked += 1;
        self.deleted.push(deleted);
        self.labels.push(label);
        self.norms.push(norm);
    }

    /// Writes a list of an adopted element. The caller has checked the neighbours.
    pub fn set_links(&mut self, element: u32, level: usize, neighbours: &[u32]) {
        self.links.set(element, level, neighbours);
    }

    /// Lets searches enter at an element of the highest level.
    pub fn enter_at(&mut self, element: u32) {
        self.entry = Some(Entry {
            element,
            level: self.links.level_of(element),
        });
    }

    /// Memory for searches in this graph.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(self.labels.len())
    }
}

/// An exponentially distributed level, as hnswlib draws it.
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
