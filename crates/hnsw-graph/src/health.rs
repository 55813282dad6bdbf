//! How well searches work in a graph.

use serde::Serialize;

use super::{Graph, search::Scratch};

/// Most queries of the recall sample.
const SAMPLE: usize = 100;
/// Most multiplications of the comparison with brute force; the sample shrinks to fit.
const BRUTE_FORCE_LIMIT: u64 = 4_000_000_000;
const LEAST_SAMPLE: usize = 5;
const NEIGHBOURS: usize = 10;

/// The shape of a graph, and how well searches work in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphHealth {
    /// Number of elements, delete-marked ones included.
    pub elements: u64,
    /// Number of delete-marked elements.
    pub deleted: u64,
    /// Number of elements by their highest level, from level 0.
    pub levels: Vec<u64>,
    /// Numbers of links per element at level 0.
    pub links: Degree,
    /// Number of live elements that no walk from the entry point reaches.
    pub unreachable: u64,
    /// The recall of searches for stored vectors; `None` in an empty graph.
    pub recall: Option<SampledRecall>,
}

/// The distribution of links per element.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Degree {
    /// Links of the element that has the fewest.
    pub min: usize,
    /// Mean number of links.
    pub mean: f64,
    /// Links of the element that has the most.
    pub max: usize,
}

/// The share of true nearest neighbours that a sample of searches found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampledRecall {
    /// Neighbours per search.
    pub k: usize,
    /// Candidates that each search kept.
    pub ef: usize,
    /// Number of searches.
    pub queries: usize,
    /// The share that was found, from 0 to 1.
    pub value: f64,
}

impl Graph {
    /// Measures the graph. Searches keep `ef` candidates. Takes time in proportion to elements, and
    /// up to four thousand million multiplications for the recall.
    pub fn health(&self, ef: usize) -> GraphHealth {
        let mut levels = Vec::new();
        let (mut min, mut max, mut sum) = (usize::MAX, 0, 0);
        for element in 0..self.len() {
            let level = self.level_of(element);
            if levels.len() <= level {
                levels.resize(level + 1, 0);
            }
            levels[level] += 1;
            let degree = self.links_of(element, 0).count();
            (min, max, sum) = (min.min(degree), max.max(degree), sum + degree);
        }
        let elements = u64::from(self.len());
        GraphHealth {
            elements,
            deleted: elements - self.live().count() as u64,
            levels,
            links: Degree {
                min: if elements == 0 { 0 } else { min },
                mean: sum as f64 / (elements.max(1)) as f64,
                max,
            },
            unreachable: self.unreachable().len() as u64,
            recall: self.sampled_recall(ef),
        }
    }

    /// Live elements that no walk from the entry point reaches.
    pub(crate) fn unreachable(&self) -> Vec<u32> {
        let reached = self.reached();
        self.live()
            .filter(|element| !reached[*element as usize])
            .collect()
    }

    /// Searches for evenly spread stored vectors, and compares with brute force.
    fn sampled_recall(&self, ef: usize) -> Option<SampledRecall> {
        let live: Vec<u32> = self.live().collect();
        let k = NEIGHBOURS.min(live.len());
        if k == 0 {
            return None;
        }
        let cost = (live.len() as u64).saturating_mul(self.params().dimension as u64);
        let affordable = usize::try_from(BRUTE_FORCE_LIMIT / cost.max(1)).unwrap_or(SAMPLE);
        let queries = affordable.clamp(LEAST_SAMPLE, SAMPLE).min(live.len());
        let mut scratch = self.scratch();
        let found: usize = (0..queries)
            .map(|at| live[at * live.len() / queries])
            .map(|element| self.found_of(element, &live, k, ef, &mut scratch))
            .sum();
        Some(SampledRecall {
            k,
            ef,
            queries,
            value: found as f64 / (queries * k) as f64,
        })
    }

    /// Counts how many of the `k` nearest elements a search for an element's vector finds. Elements
    /// at equal distances count the same.
    fn found_of(
        &self,
        element: u32,
        live: &[u32],
        k: usize,
        ef: usize,
        scratch: &mut Scratch,
    ) -> usize {
        let mut distances = self.distances(element, live);
        let (_, limit, _) = distances.select_nth_unstable_by(k - 1, f32::total_cmp);
        let limit = *limit;
        self.search(self.vector(element), k, ef, |_| true, scratch)
            .iter()
            .filter(|found| found.distance <= limit)
            .count()
    }
}
