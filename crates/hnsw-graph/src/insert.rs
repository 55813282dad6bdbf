//! Links new elements, on one thread or many.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::distance::{Between, Origin};
use super::links::Links;
use super::search::{Candidate, Scratch, descend, for_each_ahead, nearest};
use super::select::select;

/// The element at which searches enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) element: u32,
    /// Its level, which is the highest of the graph.
    pub(crate) level: usize,
}

/// Links new elements into a graph.
pub(super) struct Inserter<'g, B> {
    pub(super) links: &'g Links,
    pub(super) between: &'g B,
    /// Delete-marked elements route searches, but get no new links.
    pub(super) deleted: &'g [bool],
    pub(super) ef_construction: usize,
    /// Most links that a new element gets at a level.
    pub(super) max_new: usize,
    pub(super) entry: Mutex<Option<Entry>>,
}

impl<B: Between> Inserter<'_, B> {
    /// Links the elements `first..end` with `threads` threads. With one thread the result depends
    /// on nothing but the input. Returns the entry, and how many distances were computed.
    pub(super) fn link(self, first: u32, end: u32, threads: usize) -> (Option<Entry>, u64) {
        let next = AtomicU32::new(first);
        let distances = AtomicU64::new(0);
        let work = || {
            let mut scratch = Scratch::new(self.links.len());
            loop {
                let element = next.fetch_add(1, Ordering::Relaxed);
                if element >= end {
                    break;
                }
                self.insert(element, &mut scratch);
            }
            distances.fetch_add(scratch.distances, Ordering::Relaxed);
        };
        let count = (end - first) as usize;
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, count.max(1)) {
                scope.spawn(work);
            }
            work();
        });
        let entry = self.entry.into_inner();
        let entry = entry.unwrap_or_else(PoisonError::into_inner);
        (entry, distances.into_inner())
    }

    fn insert(&self, element: u32, scratch: &mut Scratch) {
        let level = self.links.level_of(element);
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(start) = *entry else {
            *entry = Some(Entry { element, level });
            return;
        };
        if level > start.level {
            // Keep the lock, so that no other element becomes the highest meanwhile.
            self.connect(element, level, start, scratch);
            *entry = Some(Entry { element, level });
        } else {
            drop(entry);
            self.connect(element, level, start, scratch);
        }
    }

    fn connect(&self, element: u32, level: usize, entry: Entry, scratch: &mut Scratch) {
        let from = self.between.origin(element);
        let mut start = Candidate::new(from.to(entry.element), entry.element);
        for upper in (level + 1..=entry.level).rev() {
            start = descend(self.links, from, start, upper, &mut scratch.distances);
        }
        let wanted = |other: u32| other != element && !self.deleted[other as usize];
        let mut starts = vec![start];
        let top = level.min(entry.level);
        let mut chosen = Vec::with_capacity(top + 1);
        for at in (0..=top).rev() {
            let found = nearest(
                self.links,
                from,
                &starts,
                at,
                self.ef_construction,
                wanted,
                scratch,
            );
            // If all candidates are marked, link to a marked one: no search finds an element that
            // has no links.
            if !found.is_empty() {
                starts = found;
            }
            let most = self.max_new;
            chosen.push((
                at,
                select(self.between, &starts, most, &mut scratch.distances),
            ));
        }
        // Write all own lists first: a search that finds the element at some level can go down from
        // there.
        for (at, neighbours) in &chosen {
            let neighbours: Vec<u32> = neighbours.iter().map(|found| found.element()).collect();
            self.links.set(element, *at, &neighbours);
        }
        for (at, neighbours) in chosen.iter().rev() {
            for neighbour in neighbours {
                self.link_back(
                    neighbour.element(),
                    element,
                    neighbour.distance(),
                    *at,
                    &mut scratch.distances,
                );
            }
        }
    }

    /// Adds `element` to the list of `owner`. If the list is full, selects its neighbours again.
    fn link_back(
        &self,
        owner: u32,
        element: u32,
        distance: f32,
        level: usize,
        distances: &mut u64,
    ) {
        let _lock = self.links.lock(owner);
        if self.links.append(owner, level, element) {
            return;
        }
        let from = self.between.origin(owner);
        let others = self.links.of(owner, level);
        let others: Vec<u32> = others.filter(|other| *other != element).collect();
        *distances += others.len() as u64;
        let mut candidates = Vec::with_capacity(others.len() + 1);
        for_each_ahead(from, &others, |candidate| candidates.push(candidate));
        candidates.push(Candidate::new(distance, element));
        candidates.sort_unstable();
        let most = self.links.max_at(level);
        let kept: Vec<u32> = select(self.between, &candidates, most, distances)
            .iter()
            .map(|kept| kept.element())
            .collect();
        self.links.set(owner, level, &kept);
    }
}
