//! More records, and the sync threshold that chromadb has by default: base and one delta cross it.

use crate::case::{Case, OPERATIONS, STATE};

fn larger(seed: u64, version: &'static str, space: &'static str) -> Case {
    Case {
        dim: 16,
        base_records: 1100,
        base_threshold: 1000,
        delta_records: [500, 1100, 300],
        delta_thresholds: [1000; 3],
        applied: &[OPERATIONS, STATE],
        cross_limit: 500,
        ..Case::below(seed, [version; 2], space)
    }
}

#[test]
fn v0_6_3_merges_across_the_default_threshold_like_chromadb() {
    larger(30_100, "0.6.3", "l2").run();
}

#[test]
fn v1_5_9_merges_across_the_default_threshold_like_chromadb() {
    larger(30_200, "1.5.9", "cosine").run();
}
