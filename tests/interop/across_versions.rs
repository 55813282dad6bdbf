//! Deltas of one version into a base of another: a merge keeps the base's schema level.
//!
//! Each case names the deltas' version first.

use crate::case::{Case, OPERATIONS, STATE};

#[test]
fn v0_5_23_operation_logs_merge_into_v0_6_3_like_chromadb() {
    Case::above(20_100, ["0.5.23", "0.6.3"], "ip").run();
}

#[test]
fn v0_5_23_purged_logs_merge_into_v0_6_3_like_chromadb() {
    Case::below(20_200, ["0.5.23", "0.6.3"], "l2").run();
}

#[test]
fn v0_6_3_operation_logs_merge_into_v1_0_21_like_chromadb() {
    Case::above(20_300, ["0.6.3", "1.0.21"], "cosine").run();
}

#[test]
fn v0_6_3_purged_logs_merge_into_v1_0_21_like_chromadb() {
    Case::below(20_400, ["0.6.3", "1.0.21"], "ip").run();
}

#[test]
fn v0_6_3_operation_logs_merge_into_v1_3_3_like_chromadb() {
    Case::above(20_500, ["0.6.3", "1.3.3"], "l2").run();
}

#[test]
fn v0_6_3_purged_logs_merge_into_v1_3_3_like_chromadb() {
    Case::below(20_600, ["0.6.3", "1.3.3"], "cosine").run();
}

#[test]
fn v0_6_3_operation_logs_merge_into_v1_5_9_like_chromadb() {
    Case::above(20_700, ["0.6.3", "1.5.9"], "ip").run();
}

#[test]
fn v0_6_3_purged_logs_merge_into_v1_5_9_like_chromadb() {
    Case::below(20_800, ["0.6.3", "1.5.9"], "cosine").run();
}

#[test]
fn v1_0_21_whole_and_purged_deltas_merge_into_v1_5_9_like_chromadb() {
    mixed(20_900, ["1.0.21", "1.5.9"], "l2").run();
}

#[test]
fn v1_3_3_whole_and_purged_deltas_merge_into_v1_5_9_like_chromadb() {
    mixed(21_000, ["1.3.3", "1.5.9"], "ip").run();
}

#[test]
fn v1_5_9_whole_and_purged_deltas_merge_into_v1_3_3_like_chromadb() {
    mixed(21_100, ["1.5.9", "1.3.3"], "cosine").run();
}

#[test]
fn v1_5_9_whole_and_purged_deltas_merge_into_v1_0_21_like_chromadb() {
    mixed(21_200, ["1.5.9", "1.0.21"], "l2").run();
}

/// Whole and purged deltas by turns into a synced base.
fn mixed(seed: u64, versions: [&'static str; 2], space: &'static str) -> Case {
    Case {
        delta_thresholds: [900, 30, 900],
        applied: &[OPERATIONS, STATE],
        ..Case::below(seed, versions, space)
    }
}
