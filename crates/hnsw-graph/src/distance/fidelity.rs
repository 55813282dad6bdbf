//! Whether codes order neighbours as well as the vectors do, measured on the data itself.
//!
//! Rounding is harmless while its error is small beside the differences between distances of
//! neighbours. It is harmful for vectors with a few huge elements, and for clusters that are much
//! tighter than the space between them.

use super::{Between, Codes, Exact, Origin};

/// Number of sampled elements.
const QUERIES: usize = 16;
/// Number of elements that each is compared with.
const OTHERS: usize = 512;
/// How many of the nearest count: only they are candidates for links.
const NEAREST: usize = 32;
/// The largest tolerated error, as a share of the spread of distances.
const MAX_ERROR: f64 = 0.1;

/// Whether `codes` may stand in for the vectors.
pub(crate) fn faithful(codes: &Codes, exact: Exact<'_>) -> bool {
    let elements = exact.vectors.len();
    let spaced = |at: usize, of: usize| u32::try_from(at * elements / of).unwrap_or(0);
    let (mut errors, mut spreads) = (0.0, 0.0);
    for query in 0..QUERIES.min(elements) {
        let query = spaced(query, QUERIES.min(elements));
        let others = OTHERS.min(elements);
        let mut distances: Vec<(f64, f64)> = (0..others)
            .map(|other| spaced(other, others))
            .filter(|other| *other != query)
            .map(|other| {
                let exact = f64::from(exact.origin(query).to(other));
                (exact, f64::from(codes.origin(query).to(other)) - exact)
            })
            .collect();
        distances.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        distances.truncate(NEAREST);
        let count = distances.len().max(1) as f64;
        let mean = distances.iter().map(|(exact, _)| exact).sum::<f64>() / count;
        // An error that all distances share does not change their order.
        let bias = distances.iter().map(|(_, error)| error).sum::<f64>() / count;
        spreads += distances
            .iter()
            .map(|(exact, _)| (exact - mean).powi(2))
            .sum::<f64>();
        errors += distances
            .iter()
            .map(|(_, error)| (error - bias).powi(2))
            .sum::<f64>();
    }
    errors <= MAX_ERROR * MAX_ERROR * spreads
}
