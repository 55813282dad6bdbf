//! Selects neighbours: near elements that are not nearer to one already selected.

use super::distance::{Between, Origin};
use super::search::Candidate;

/// Selects at most `most` of `candidates` (nearest first) as hnswlib does, so that links lead in
/// different directions.
pub(super) fn select<B: Between>(
    between: &B,
    candidates: &[Candidate],
    most: usize,
    distances: &mut u64,
) -> Vec<Candidate> {
    if candidates.len() < most {
        return candidates.to_vec();
    }
    let mut chosen: Vec<(Candidate, B::Origin<'_>)> = Vec::with_capacity(most);
    for candidate in candidates {
        if chosen.len() >= most {
            break;
        }
        let apart = chosen
            .iter()
            .inspect(|_| *distances += 1)
            .all(|(_, from)| from.to(candidate.element()) >= candidate.distance());
        if apart {
            chosen.push((*candidate, between.origin(candidate.element())));
        }
    }
    chosen.into_iter().map(|(candidate, _)| candidate).collect()
}
