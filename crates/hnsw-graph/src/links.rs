//! The links of a graph. Many threads read and write lists at once. An entry is always an element.
//! A list may briefly mix old and new content. Only the holder of an element's lock writes to its
//! lists.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of locks. Elements share them, and no thread holds two.
const LOCKS: usize = 4096;

/// The lists of all elements.
#[derive(Debug)]
pub(crate) struct Links {
    max: usize,
    max_0: usize,
    /// `1 + max_0` values per element: the count, then neighbours.
    level_0: Vec<AtomicU32>,
    /// Per element, `1 + max` values for each level above 0.
    upper: Vec<Box<[AtomicU32]>>,
    locks: Box<[Mutex<()>]>,
}

impl Links {
    pub(crate) fn new(max: usize, max_0: usize) -> Self {
        Self {
            max,
            max_0,
            level_0: Vec::new(),
            upper: Vec::new(),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(crate) fn reserve(&mut self, elements: usize) {
        let entries = elements.saturating_mul(1 + self.max_0);
        let _ = self.level_0.try_reserve_exact(entries);
        let _ = self.upper.try_reserve_exact(elements);
    }

    /// Appends an element of the given level, with empty lists.
    pub(crate) fn push(&mut self, level: usize) {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0));
        self.level_0.extend(zeros(1 + self.max_0));
        self.upper.push(zeros(level * (1 + self.max)).collect());
    }

    pub(crate) fn len(&self) -> usize {
        self.upper.len()
    }

    /// Most links of a list at `level`.
    pub(crate) fn max_at(&self, level: usize) -> usize {
        if level == 0 { self.max_0 } else { self.max }
    }

    /// The highest level of an element.
    pub(crate) fn level_of(&self, element: u32) -> usize {
        self.upper[element as usize].len() / (1 + self.max)
    }

    /// The neighbours of `element` at `level`. None if the element does not reach the level.
    #[inline]
    pub(crate) fn of(&self, element: u32, level: usize) -> impl Iterator<Item = u32> + '_ {
        let list = self.list(element, level);
        let count = list
            .first()
            .map_or(0, |count| count.load(Ordering::Acquire));
        // Acquire: a thread that finds an element here also sees the element's own lists.
        list.iter()
            .skip(1)
            .take(count as usize)
            .map(|link| link.load(Ordering::Acquire))
    }

    /// Writes a list. Neighbours that do not fit are left out.
    pub(crate) fn set(&self, element: u32, level: usize, neighbours: &[u32]) {
        let list = self.list(element, level);
        let Some((count, slots)) = list.split_first() else {
            return;
        };
        let kept = neighbours.len().min(slots.len());
        for (slot, neighbour) in slots.iter().zip(neighbours) {
            slot.store(*neighbour, Ordering::Release);
        }
        count.store(u32::try_from(kept).unwrap_or(0), Ordering::Release);
    }

    /// Appends to a list. Returns `false` if the list is full.
    pub(crate) fn append(&self, element: u32, level: usize, neighbour: u32) -> bool {
        let list = self.list(element, level);
        let Some((count, slots)) = list.split_first() else {
            return true;
        };
        let used = count.load(Ordering::Acquire);
        let Some(slot) = slots.get(used as usize) else {
            return false;
        };
        slot.store(neighbour, Ordering::Release);
        count.store(used + 1, Ordering::Release);
        true
    }

    /// Locks an element's lists for writing.
    pub(crate) fn lock(&self, element: u32) -> MutexGuard<'_, ()> {
        // The lock guards no data that a panic could leave half written.
        self.locks[element as usize % LOCKS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn list(&self, element: u32, level: usize) -> &[AtomicU32] {
        let element = element as usize;
        if level == 0 {
            let first = element * (1 + self.max_0);
            return &self.level_0[first..first + 1 + self.max_0];
        }
        let first = (level - 1) * (1 + self.max);
        self.upper[element]
            .get(first..first + 1 + self.max)
            .unwrap_or(&[])
    }
}
