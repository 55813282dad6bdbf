//! Base and deltas of one version: logs replayed whole, states of purged logs, index files with
//! deleted labels, several collections, array metadata, explicit nulls.

use crate::case::{Case, OPERATIONS, STATE};

const V06: [&str; 2] = ["0.6.3"; 2];
const V10: [&str; 2] = ["1.0.21"; 2];
const V13: [&str; 2] = ["1.3.3"; 2];
const V15: [&str; 2] = ["1.5.9"; 2];

#[test]
fn v0_6_3_operation_logs_merge_like_chromadb() {
    Case::above(10_100, V06, "l2").run();
}

#[test]
fn v0_6_3_purged_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(10_200, V06, "ip").run();
}

#[test]
fn v0_6_3_purged_cosine_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(10_300, V06, "cosine").run();
}

#[test]
fn v1_0_21_operation_logs_merge_like_chromadb() {
    Case::above(10_400, V10, "ip").run();
}

#[test]
fn v1_0_21_purged_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(10_500, V10, "cosine").run();
}

#[test]
fn v1_3_3_operation_logs_merge_like_chromadb() {
    Case::above(10_600, V13, "cosine").run();
}

#[test]
fn v1_3_3_purged_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(10_700, V13, "l2").run();
}

#[test]
fn v1_5_9_operation_logs_merge_like_chromadb() {
    Case::above(10_800, V15, "cosine").run();
}

#[test]
fn v1_5_9_purged_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(10_900, V15, "ip").run();
}

#[test]
fn v1_5_9_purged_cosine_logs_merge_into_a_synced_index_like_chromadb() {
    Case::below(11_000, V15, "cosine").run();
}

#[test]
fn v1_5_9_array_metadata_of_operation_logs_merges_like_chromadb() {
    Case {
        array: true,
        ..Case::above(11_100, V15, "l2")
    }
    .run();
}

#[test]
fn v1_5_9_array_metadata_of_purged_logs_merges_like_chromadb() {
    Case {
        array: true,
        ..Case::below(11_200, V15, "ip")
    }
    .run();
}

/// Two collections share one log table: one is synced and purged, the other never was.
fn mixed(seed: u64, versions: [&'static str; 2], space: &'static str) -> Case {
    Case {
        collections: "words,lines:60",
        base_threshold: 100,
        delta_thresholds: [100; 3],
        delta_records: [160, 150, 170],
        applied: &[OPERATIONS, STATE],
        ..Case::below(seed, versions, space)
    }
}

#[test]
fn v0_6_3_purged_and_whole_collections_merge_like_chromadb() {
    mixed(11_300, V06, "cosine").run();
}

#[test]
fn v1_0_21_purged_and_whole_collections_merge_like_chromadb() {
    mixed(11_400, V10, "l2").run();
}

#[test]
fn v1_3_3_purged_and_whole_collections_merge_like_chromadb() {
    mixed(11_500, V13, "ip").run();
}

#[test]
fn v1_5_9_purged_and_whole_collections_merge_like_chromadb() {
    mixed(11_600, V15, "l2").run();
}

#[test]
fn v0_6_3_purged_delta_between_whole_deltas_merges_like_chromadb() {
    let case = Case::below(11_700, V06, "l2");
    Case {
        delta_thresholds: [900, 30, 900],
        applied: &[OPERATIONS, STATE],
        ..case
    }
    .run();
}

#[test]
fn v1_5_9_whole_delta_between_purged_deltas_merges_like_chromadb() {
    let case = Case::below(11_800, V15, "cosine");
    Case {
        delta_thresholds: [30, 900, 30],
        applied: &[OPERATIONS, STATE],
        ..case
    }
    .run();
}

#[test]
fn v0_6_3_explicit_nulls_of_operation_logs_merge_like_chromadb() {
    Case {
        explicit_none: true,
        ..Case::above(11_900, V06, "cosine")
    }
    .run();
}

#[test]
fn v0_6_3_explicit_nulls_of_purged_logs_merge_like_chromadb() {
    Case {
        explicit_none: true,
        ..Case::below(12_000, V06, "l2")
    }
    .run();
}
