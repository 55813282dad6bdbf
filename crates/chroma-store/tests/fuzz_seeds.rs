//! The inputs that fuzzing starts from, and cuttings and flips of them, run without the fuzzer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use chroma_store::fuzzing::{read_index_files, write_index_files};
use chroma_store::{Space, StoreResult};

fn run(input: &[u8], space: Space) -> StoreResult<()> {
    let dir = tempfile::tempdir().unwrap();
    write_index_files(dir.path(), input)?;
    read_index_files(dir.path(), &dir.path().join("again"), space)
}

#[test]
fn every_seed_is_sound_and_no_change_of_one_is_a_panic() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/index_files");
    let mut count = 0;
    for entry in std::fs::read_dir(seeds).unwrap() {
        let path = entry.unwrap().path();
        let seed = std::fs::read(&path).unwrap();
        let space = if path.to_str().unwrap().ends_with("cosine") {
            Space::Cosine
        } else {
            Space::L2
        };
        run(&seed, space).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for at in (0..seed.len()).step_by(7) {
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = run(&changed, space);
            let _ = run(&seed[..at], space);
        }
        count += 1;
    }
    assert!(count > 0, "there are no seeds");
}
