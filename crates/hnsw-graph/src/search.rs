//! Finds the nearest elements of a level, best first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::distance::Origin;
use super::links::Links;

/// How many vectors to prefetch; more were not faster.
const AHEAD: usize = 2;

/// An element and its distance, ordered by distance and then by element, so that ties are decided
/// alike everywhere. The distance is an integer, because heaps compare integers faster than floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

impl Candidate {
    pub(crate) fn new(distance: f32, element: u32) -> Self {
        // The bits of the float, flipped so that they sort as the numbers do (as `total_cmp`).
        let bits = distance.to_bits();
        let sortable = if bits >> 31 == 0 {
            bits ^ (1 << 31)
        } else {
            !bits
        };
        Self(u64::from(sortable) << 32 | u64::from(element))
    }

    pub(crate) fn element(self) -> u32 {
        (self.0 & u64::from(u32::MAX)) as u32
    }

    pub(crate) fn distance(self) -> f32 {
        let sortable = (self.0 >> 32) as u32;
        let bits = if sortable >> 31 == 1 {
            sortable ^ (1 << 31)
        } else {
            !sortable
        };
        f32::from_bits(bits)
    }
}

/// Memory that searches use again and again, so that none allocates its own.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For each element, the last search that saw it.
    seen: Vec<u32>,
    search: u32,
    open: BinaryHeap<Reverse<Candidate>>,
    best: BinaryHeap<Candidate>,
    neighbours: Vec<u32>,
    /// Number of computed distances.
    pub(super) distances: u64,
}

impl Scratch {
    pub(crate) fn new(elements: usize) -> Self {
        Self {
            seen: vec![0; elements],
            ..Self::default()
        }
    }

    fn begin(&mut self) {
        self.open.clear();
        self.best.clear();
        self.search = self.search.wrapping_add(1);
        if self.search == 0 {
            self.seen.fill(0);
            self.search = 1;
        }
    }

    /// Marks an element as seen. Returns `true` the first time in a search.
    #[inline]
    fn meet(&mut self, element: u32) -> bool {
        let seen = &mut self.seen[element as usize];
        let first = *seen != self.search;
        *seen = self.search;
        first
    }
}

/// Walks at `level` from one element to an ever nearer one, to the nearest that this can reach.
pub(super) fn descend<F: Origin>(
    links: &Links,
    from: F,
    start: Candidate,
    level: usize,
    distances: &mut u64,
) -> Candidate {
    let mut nearest = start;
    loop {
        let before = nearest;
        for element in links.of(before.element(), level) {
            *distances += 1;
            nearest = nearest.min(Candidate::new(from.to(element), element));
        }
        if nearest == before {
            return nearest;
        }
    }
}

/// Finds the `width` nearest elements of a level that are `wanted`, nearest first. The walk passes
/// through the others.
pub(super) fn nearest<F: Origin>(
    links: &Links,
    from: F,
    starts: &[Candidate],
    level: usize,
    width: usize,
    wanted: impl Fn(u32) -> bool,
    scratch: &mut Scratch,
) -> Vec<Candidate> {
    scratch.begin();
    for start in starts {
        if scratch.meet(start.element()) {
            scratch.open.push(Reverse(*start));
            if wanted(start.element()) {
                scratch.best.push(*start);
            }
        }
    }
    let mut neighbours = std::mem::take(&mut scratch.neighbours);
    while let Some(Reverse(candidate)) = scratch.open.pop() {
        let full = scratch.best.len() >= width;
        if full && scratch.best.peek().is_some_and(|worst| candidate > *worst) {
            break;
        }
        neighbours.clear();
        for element in links.of(candidate.element(), level) {
            if scratch.meet(element) {
                neighbours.push(element);
            }
        }
        scratch.distances += neighbours.len() as u64;
        for_each_ahead(from, &neighbours, |found| {
            let full = scratch.best.len() >= width;
            if full && scratch.best.peek().is_some_and(|worst| found > *worst) {
                return;
            }
            scratch.open.push(Reverse(found));
            if wanted(found.element()) {
                scratch.best.push(found);
                if scratch.best.len() > width {
                    scratch.best.pop();
                }
            }
        });
    }
    scratch.neighbours = neighbours;
    let mut best: Vec<Candidate> = scratch.best.drain().collect();
    best.sort_unstable();
    best
}

/// Passes every element and its distance to `visit`, and prefetches the next ones.
#[inline]
pub(super) fn for_each_ahead<F: Origin>(
    from: F,
    elements: &[u32],
    mut visit: impl FnMut(Candidate),
) {
    for element in elements.iter().take(AHEAD) {
        from.prefetch(*element);
    }
    for (at, element) in elements.iter().enumerate() {
        if let Some(next) = elements.get(at + AHEAD) {
            from.prefetch(*next);
        }
        visit(Candidate::new(from.to(*element), *element));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn candidates_sort_by_distance(a: f32, b: f32, x: u32, y: u32) {
            let (left, right) = (Candidate::new(a, x), Candidate::new(b, y));
            prop_assert_eq!(left.cmp(&right), a.total_cmp(&b).then(x.cmp(&y)));
            prop_assert_eq!((left.distance().to_bits(), left.element()), (a.to_bits(), x));
        }
    }
}
