//! The real binary, killed again and again at random moments, over the local backend and over AWS
//! (the emulator), while producers go on and a Python reader reads what is published.
//!
//! Every other kill comes when the daemon has just logged a random step of a cycle; the rest come at
//! any moment. The test fails if too few kills hit a daemon at work.
//!
//! The reader does what Python readers do: it gets the pointer, then the files, and opens them with real
//! chromadb. It must find whole runs and never fewer than before. In the end the content must be
//! that of a deployment where no process was killed.
//!
//! `CRASH_KILLS` says how often, over both; `cargo xtask crash --kills 200` sets it. `CRASH_SEED`
//! repeats the same moments, as far as timing allows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

mod kill_loop;
mod reader;
mod testbed;

use fastrand::Rng;
use libtest_mimic::{Failed, Trial};
use testbed::Testbed;

/// The program under test.
const COMPACTOR: &str = env!("CARGO_BIN_EXE_chroma-compactor");
/// How often to kill, unless `CRASH_KILLS` says otherwise.
const KILLS: u64 = 24;

fn main() {
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Two daemons at once would slow each other down, and kills would miss them.
    arguments.test_threads = Some(1);
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let kills = number("CRASH_KILLS").unwrap_or(KILLS);
    let seed = number("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let trials = vec![
        Trial::test("kills_over_the_local_backend_lose_no_run", move || {
            endure(&Testbed::local(), kills / 2, seed)
        }),
        Trial::test("kills_over_aws_lose_no_run", move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let cloud = runtime.block_on(Testbed::cloud());
            endure(&cloud, kills - kills / 2, seed)
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn endure(testbed: &Testbed, kills: u64, seed: u64) -> Result<(), Failed> {
    println!("CRASH_SEED={seed}");
    kill_loop::endure(testbed, kills, &mut Rng::with_seed(seed));
    Ok(())
}
