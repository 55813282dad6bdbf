//! Fuzzing, with the corpus in the target folder.

use crate::command::{TaskError, root, run_with};

const TARGET: &str = "index_files";

pub(crate) fn run(minutes: u64) -> Result<(), TaskError> {
    let corpus = root().join("target/fuzz-corpus").join(TARGET);
    fs_err::create_dir_all(&corpus)?;
    let seeds = root().join("fuzz/seeds").join(TARGET);
    let time = format!("-max_total_time={}", minutes * 60);
    run_with(
        "cargo",
        [
            "fuzz".as_ref(),
            "run".as_ref(),
            TARGET.as_ref(),
            corpus.as_os_str(),
            seeds.as_os_str(),
            "--".as_ref(),
            time.as_ref(),
            "-max_len=16384".as_ref(),
            "-malloc_limit_mb=256".as_ref(),
        ],
        // The instrumentation is behind an unstable flag of the compiler.
        &[("RUSTC_BOOTSTRAP", "1".as_ref())],
    )
}
