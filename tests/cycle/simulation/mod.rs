//! The real daemon in a world of its own: several machines, one thread, time that jumps.
//!
//! A seed says everything: who announces what and when, which calls are slow, fail, take effect
//! unheard or long after they were given up, and which machine is killed, stopped, paused or has
//! its clock set. After five minutes of that the weather turns calm and one machine works off what
//! is left. At every move of a pointer, every deletion and every completed record the promises of
//! `promises.rs` are checked; in the end the content must be that of all good deltas.
//!
//! The same seed gives the same diary. Time stands still while any task works, blocking work is done
//! one after the other, and no call shares its chances with another (`weather.rs`).
//!
//! `SIMULATION_SEED=7` runs one seed and prints its diary; `SIMULATION_SEEDS=5000` as many.

mod figures;
mod incident;
mod machine;
mod mistake;
mod plan;
mod promises;
mod readers;
mod remote;
mod run;
mod stage;
mod time;
mod watch;
mod weather;

use std::ops::Range;
use std::time::Duration;

use compactor_core::ports::Fault;
use figures::Figures;
use incident::Incident;
use mistake::Mistake;
use plan::Plan;
use run::{Outcome, play, simulate};
use weather::Climate;

/// How many seeds are tried by default.
const SEEDS: u64 = 500;
/// Tests that share them, so that all cores have something to do.
const SHARES: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn share(of: u64) -> Figures {
    let mut figures = Figures::default();
    if number("SIMULATION_SEED").is_some() {
        return figures;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    for seed in (of..seeds).step_by(SHARES as usize) {
        let outcome = simulate(seed, None);
        assert_kept(seed, "requested_seed", &outcome);
        figures.add(&outcome.figures);
    }
    if seeds >= SEEDS {
        figures.assert_eventful();
    }
    figures
}

fn assert_kept(seed: u64, test: &str, outcome: &Outcome) {
    assert!(
        outcome.broken.is_empty() && outcome.said.is_empty(),
        "{:#?}, said: {:#?}\n{}",
        outcome.broken,
        outcome.said,
        replay(seed, test)
    );
}

/// How `test` plays that seed alone.
fn replay(seed: u64, test: &str) -> String {
    format!(
        "seed {seed}; again: SIMULATION_SEED={seed} cargo test --workspace --all-features \
         --test cycle simulation::{test} -- --nocapture"
    )
}

/// The seeds below `upto`, or the one that `SIMULATION_SEED` asks for.
fn seeds(upto: u64) -> Range<u64> {
    number("SIMULATION_SEED").map_or(0..upto, |seed| seed..seed + 1)
}

#[test]
fn first_share_of_seeds_keeps_all_promises() {
    println!("{:?}", share(0));
}

#[test]
fn second_share_of_seeds_keeps_all_promises() {
    println!("{:?}", share(1));
}

#[test]
fn third_share_of_seeds_keeps_all_promises() {
    println!("{:?}", share(2));
}

#[test]
fn fourth_share_of_seeds_keeps_all_promises() {
    println!("{:?}", share(3));
}

/// Does nothing unless `SIMULATION_SEED` asks for a seed.
#[test]
fn requested_seed_keeps_all_promises() {
    let Some(seed) = number("SIMULATION_SEED") else {
        return;
    };
    let outcome = simulate(seed, None);
    for line in &outcome.diary {
        println!("{line}");
    }
    println!("{:?}", outcome.figures);
    assert_kept(seed, "requested_seed", &outcome);
}

#[test]
fn seed_played_twice_gives_one_diary() {
    for seed in seeds(20) {
        let replay = replay(seed, "seed_played_twice");
        let (first, second) = (simulate(seed, None), simulate(seed, None));
        for (at, (one, other)) in first.diary.iter().zip(&second.diary).enumerate() {
            assert_eq!(one, other, "line {at}; {replay}");
        }
        assert_eq!(first.diary.len(), second.diary.len(), "{replay}");
    }
}

/// A bucket that is away for long, and a queue that hands each message out four times only.
#[test]
fn bucket_outage_buries_no_run() {
    for seed in seeds(20) {
        let mut plan = Plan::of(seed);
        plan.climate = Climate { fail: 0, slow: 0 };
        plan.max_receives = 4;
        plan.outage = Duration::from_secs(20)..Duration::from_secs(260);
        plan.machines.truncate(1);
        plan.machines[0].clear();
        let outcome = play(seed, &plan, None);
        assert_kept(seed, "bucket_outage", &outcome);
    }
}

/// Trouble that is no run's fault, for an hour, and a queue that hands each message out four times
/// only.
fn buries_no_run(test: &str, incident: &Incident) {
    let mut refused = 0;
    for seed in seeds(6) {
        let mut plan = Plan::of(seed);
        plan.climate = Climate { fail: 0, slow: 0 };
        plan.outage = Duration::ZERO..Duration::ZERO;
        plan.incident = Some(incident.clone());
        plan.rough = Duration::from_secs(70 * 60);
        plan.max_receives = 4;
        plan.machines.truncate(2);
        plan.machines.iter_mut().for_each(Vec::clear);
        let outcome = play(seed, &plan, None);
        assert_kept(seed, test, &outcome);
        refused += outcome.figures.bad_calls;
    }
    let is_of_calls = matches!(incident, Incident::Refused(..) | Incident::Trickle(_));
    assert_eq!(refused > 0, is_of_calls, "{incident:?}: {refused} calls");
}

const AN_HOUR: Range<Duration> = Duration::from_secs(100)..Duration::from_secs(3700);

#[test]
fn hour_of_denied_calls_buries_no_run() {
    buries_no_run(
        "hour_of_denied_calls",
        &Incident::Refused(Fault::Denied, AN_HOUR),
    );
}

#[test]
fn hour_of_throttled_calls_buries_no_run() {
    buries_no_run(
        "hour_of_throttled_calls",
        &Incident::Refused(Fault::Throttled, AN_HOUR),
    );
}

#[test]
fn hour_of_trickling_downloads_buries_no_run() {
    buries_no_run("hour_of_trickling_downloads", &Incident::Trickle(AN_HOUR));
}

#[test]
fn dead_holder_of_locks_buries_no_run() {
    buries_no_run("dead_holder_of_locks", &Incident::DeadHolder(AN_HOUR.start));
}

#[test]
fn pointers_that_vanish_lose_no_run() {
    buries_no_run("pointers_that_vanish", &Incident::PointersVanish(AN_HOUR));
}

#[test]
fn bases_that_shrink_lose_no_run() {
    buries_no_run("bases_that_shrink", &Incident::BasesShrink(AN_HOUR));
}

/// A simulation that finds no broken promise proves something only if it would find one.
#[test]
fn known_mistake_breaks_promise_within_100_seeds() {
    for mistake in Mistake::ALL {
        let found = (0..100).find(|seed| !simulate(*seed, Some(mistake)).broken.is_empty());
        assert!(found.is_some(), "{mistake:?}");
        println!("{mistake:?}: seed {found:?}");
    }
}
