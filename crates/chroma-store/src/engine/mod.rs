//! The second engine: the crate `hnsw_rs` finds the links, this crate stores them.
//!
//! It is an independent opinion on graphs, for rebuilding and comparing. It sees numbers in place
//! of vectors, and never reads or writes a file. Its panics become errors, and this module checks
//! its result before anything uses it.

mod export;

use std::panic::{self, AssertUnwindSafe};
use std::slice;

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;

use crate::{StoreError, StoreResult};
use hnsw_graph::Graph;

/// `hnsw_rs` ends the process above this many links.
const MAX_LINKS: usize = 256;
/// `ln(1)` is 0, so `hnsw_rs` would spread levels evenly with one link. This module builds with two
/// and keeps one.
const MIN_LINKS: usize = 2;
/// The most layers that `hnsw_rs` has.
const LAYERS: usize = 16;

/// Finds links for all elements of `graph`, none of which has any yet.
///
/// Runs on one thread: parallel insertion of `hnsw_rs` 0.3.5 sometimes deadlocks, when two elements
/// of several levels each hold their own list and wait for the other's.
///
/// # Errors
/// `Engine`: `hnsw_rs` panicked, does not allow as many links, or returned a malformed graph.
pub(crate) fn link(graph: &mut Graph) -> StoreResult<()> {
    if graph.is_empty() {
        return Ok(());
    }
    let links = contained(|| build(graph))
        .and_then(|built| built)
        .map_err(|detail| StoreError::Engine { detail })?;
    graph.link_as(links.lists, links.entry_point);
    Ok(())
}

/// The links that `hnsw_rs` found.
struct Links {
    /// Neighbours, by element and level.
    lists: Vec<Vec<Vec<u32>>>,
    /// An element of the highest level.
    entry_point: u32,
}

fn build(graph: &Graph) -> Result<Links, String> {
    let wanted = graph.params().max_links;
    if wanted > MAX_LINKS {
        return Err(format!(
            "{wanted} links per element, hnsw_rs has at most {MAX_LINKS}"
        ));
    }
    let elements = graph.len() as usize;
    let max_links = wanted.max(MIN_LINKS);
    // `hnsw_rs` allocates this many candidates at once.
    let width = graph.params().ef_construction.min(elements).max(max_links);
    let hnsw = Hnsw::new(max_links, elements, LAYERS, width, Numbered(graph));
    // Caught here as well, so that no unwinding panic drops the graph: its drop can panic too.
    contained(|| {
        for element in shuffled(graph.len()) {
            hnsw.insert((slice::from_ref(&element), element as usize));
        }
    })?;
    export::export(&hnsw, elements, graph.params())
}

fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        format!("hnsw_rs panicked: {}", text.unwrap_or("no message"))
    })
}

/// Looks vectors up by number, because `hnsw_rs` copies what it is given.
struct Numbered<'g>(&'g Graph);

impl Distance<u32> for Numbered<'_> {
    fn eval(&self, left: &[u32], right: &[u32]) -> f32 {
        not_negative(self.0.distance(left[0], right[0]))
    }
}

/// Maps all floats to those from 0 up, and keeps their order but for the last bit. `hnsw_rs` only
/// compares distances and refuses negative ones, which inner products give. An added bound would
/// round away the differences of small ones.
fn not_negative(distance: f32) -> f32 {
    const LOWEST: u32 = !f32::NEG_INFINITY.to_bits();
    if distance.is_nan() {
        return f32::INFINITY;
    }
    let bits = distance.to_bits();
    let ordered = if distance.is_sign_negative() {
        !bits
    } else {
        bits | 1 << 31
    };
    f32::from_bits((ordered - LOWEST) >> 1)
}

/// `hnsw_rs` makes a graph in which searches miss clusters if rows are sorted by cluster.
fn shuffled(elements: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..elements).collect();
    fastrand::Rng::with_seed(0).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn mapped_distances_keep_their_order(left: f32, right: f32) {
            prop_assume!(left.is_finite() && right.is_finite());
            let (small, large) = if left <= right { (left, right) } else { (right, left) };
            prop_assert!(not_negative(small) <= not_negative(large));
            prop_assert!(not_negative(small) >= 0.0);
        }
    }

    #[test]
    fn panic_of_the_engine_becomes_an_error() {
        let error = contained(|| -> () { panic!("distance of {}", 7) }).unwrap_err();
        assert_eq!(error, "hnsw_rs panicked: distance of 7");
    }
}
