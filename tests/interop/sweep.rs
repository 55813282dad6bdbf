//! Merges of many sizes: a sample. `cargo xtask sweep` runs all of them.

use crate::session::{COMPACTOR, Session};

#[test]
fn v1_5_9_merges_of_sampled_sizes_satisfy_chromadb() {
    let mut session = Session::new(97_000);
    let (seed, out) = (session.seed().to_string(), session.path("out"));
    let arguments = [
        "sweep", "--binary", COMPACTOR, "--out", &out, "--seed", &seed,
    ];
    session.oracle("1.5.9", &arguments);
}
