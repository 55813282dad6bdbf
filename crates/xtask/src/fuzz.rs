//! Runs the fuzz targets. Their corpus is kept in the target folder.

use crate::command::{TaskError, root, run_with};

const TARGETS: [&str; 7] = [
    "archives",
    "configurations",
    "index_files",
    "manifests",
    "messages",
    "pickles",
    "pointers",
];

/// Fuzzes one target, or all, for `minutes` each.
///
/// # Errors
/// cargo-fuzz is missing, or a target fails.
pub(crate) fn run(target: Option<&str>, minutes: u64) -> Result<(), TaskError> {
    match target {
        Some(target) => run_one(target, minutes),
        None => TARGETS
            .into_iter()
            .try_for_each(|target| run_one(target, minutes)),
    }
}

fn run_one(target: &str, minutes: u64) -> Result<(), TaskError> {
    let corpus = root().join("target/fuzz-corpus").join(target);
    fs_err::create_dir_all(&corpus)?;
    let seeds = root().join("fuzz/seeds").join(target);
    let time = format!("-max_total_time={}", minutes * 60);
    run_with(
        "cargo",
        [
            "fuzz".as_ref(),
            "run".as_ref(),
            target.as_ref(),
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
