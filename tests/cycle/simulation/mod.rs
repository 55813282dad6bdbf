//! The real daemon in a world of its own: several machines, one thread, time that jumps.
//!
//! A seed says everything: who announces what and when, which calls are slow, fail, take effect
//! unheard or long after they were given up, and which machine is killed, stopped, paused or has
//! its clock set. After five minutes of that the weather turns calm and one machine works off what
//! is left. At every move of a pointer, every deletion and every completed record the promises of
//! `promises.rs` are checked; in the end the content must be that of all good deltas.
//!
//! The same seed gives the same diary. Time stands still while anybody works, blocking work is done
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

/// How many seeds are tried if nobody says.
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
        assert_kept(seed, "one_seed", &outcome);
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

/// That many, or the one that is asked for.
fn seeds(upto: u64) -> Range<u64> {
    number("SIMULATION_SEED").map_or(0..upto, |seed| seed..seed + 1)
}

#[test]
fn seeds_first_share() {
    println!("{:?}", share(0));
}

#[test]
fn seeds_second_share() {
    println!("{:?}", share(1));
}

#[test]
fn seeds_third_share() {
    println!("{:?}", share(2));
}

#[test]
fn seeds_fourth_share() {
    println!("{:?}", share(3));
}

/// Nothing unless a seed is asked for.
#[test]
fn one_seed() {
    let Some(seed) = number("SIMULATION_SEED") else {
        return;
    };
    let outcome = simulate(seed, None);
    for line in &outcome.diary {
        println!("{line}");
    }
    println!("{:?}", outcome.figures);
    assert_kept(seed, "one_seed", &outcome);
}

#[test]
fn the_same_seed_gives_the_same_diary() {
    for seed in seeds(20) {
        let replay = replay(seed, "the_same_seed");
        let (first, second) = (simulate(seed, None), simulate(seed, None));
        for (at, (one, other)) in first.diary.iter().zip(&second.diary).enumerate() {
            assert_eq!(one, other, "line {at}; {replay}");
        }
        assert_eq!(first.diary.len(), second.diary.len(), "{replay}");
    }
}

/// A bucket that is away for long, and a queue that hands each message out four times only.
#[test]
fn an_outage_buries_no_run() {
    for seed in seeds(20) {
        let mut plan = Plan::of(seed);
        plan.climate = Climate { fail: 0, slow: 0 };
        plan.max_receives = 4;
        plan.outage = Duration::from_secs(20)..Duration::from_secs(260);
        plan.machines.truncate(1);
        plan.machines[0].clear();
        let outcome = play(seed, &plan, None);
        assert_kept(seed, "an_outage", &outcome);
    }
}

/// Trouble that is nobody's run's fault, for an hour, and a queue that hands each message out four
/// times only.
fn buries_no_run(incident: &Incident) {
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
        assert_kept(seed, &format!("{incident:?}"), &outcome);
        refused += outcome.figures.bad_calls;
    }
    let is_of_calls = matches!(incident, Incident::Refused(..) | Incident::Trickle(_));
    assert_eq!(refused > 0, is_of_calls, "{incident:?}: {refused} calls");
}

const AN_HOUR: Range<Duration> = Duration::from_secs(100)..Duration::from_secs(3700);

#[test]
fn denied_for_an_hour_buries_no_run() {
    buries_no_run(&Incident::Refused(Fault::Denied, AN_HOUR));
}

#[test]
fn throttled_for_an_hour_buries_no_run() {
    buries_no_run(&Incident::Refused(Fault::Throttled, AN_HOUR));
}

#[test]
fn downloads_that_trickle_bury_no_run() {
    buries_no_run(&Incident::Trickle(AN_HOUR));
}

#[test]
fn a_dead_holder_buries_no_run() {
    buries_no_run(&Incident::DeadHolder(AN_HOUR.start));
}

#[test]
fn pointers_that_vanish_lose_no_run() {
    buries_no_run(&Incident::PointersVanish(AN_HOUR));
}

#[test]
fn bases_that_shrink_lose_no_run() {
    buries_no_run(&Incident::BasesShrink(AN_HOUR));
}

/// A simulation that finds nothing proves something only if it would find it.
#[test]
fn what_is_known_to_be_wrong_is_found() {
    for mistake in Mistake::ALL {
        let found = (0..100).find(|seed| !simulate(*seed, Some(mistake)).broken.is_empty());
        assert!(found.is_some(), "{mistake:?}");
        println!("{mistake:?}: seed {found:?}");
    }
}
