//! Machines that disagree on the time, and whose clocks are set while they work. A worker whose clock is
//! ahead may take a lease from a living holder; still no update is lost.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use compactor_core::ports::Clock;
use compactor_local::SystemClock;
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deadline::Deadline;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::faketime::SetClock;
use compactor_testkit::fixture::{directory, ids};
use compactor_testkit::process::terminate;

use crate::COMPACTOR;

const RUNS: usize = 12;

/// Each machine's clock goes through these offsets; each machine begins with another one.
const OFFSETS: [&str; 4] = ["-3h", "+0", "+3h", "+2d"];

/// How long a clock stays as it is. A cycle takes less, a lease lasts longer.
const TURN: Duration = Duration::from_secs(2);

fn set(clocks: &[SetClock], turn: usize) {
    for (number, clock) in clocks.iter().enumerate() {
        clock.set(OFFSETS[(turn + number) % OFFSETS.len()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_whose_clocks_are_set_while_they_work_lose_nothing() {
    let deployment = Deployment::on(Cloud::new(1000).await, COMPACTOR);
    let place = &deployment.place;
    // A worker whose clock is ahead takes a lock that is held.
    place.expects(&["CC-LEASE-LOST", "CC-SWAP-LOST"]);
    let clocks = [0, 1, 2].map(|number| SetClock::new(place, &format!("machine-{number}")));
    set(&clocks, 0);
    let daemons = clocks.each_ref().map(|clock| {
        let mut command = deployment.command("run");
        clock.give_to(&mut command);
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    let (mut names, mut turn) = (Vec::new(), 0_u32);
    let time = SystemClock::new();
    let mut next = || {
        if time.monotonic().0 >= TURN * (turn + 1) {
            turn += 1;
            set(&clocks, turn as usize);
        }
    };
    for number in 0..RUNS {
        let name = format!("r{number:02}");
        directory(place, &name, "words", 4, 3);
        let line = format!("submit words={name} --run-id {name}");
        deployment.say(&line).succeeds();
        names.push(name);
        next();
    }
    let deadline = Deadline::in_two_minutes();
    loop {
        let parts = deployment.parts();
        if parts.iter().all(|part| part.2 == "COMPLETED") {
            break;
        }
        deadline.wait(&parts);
        next();
    }
    daemons.into_iter().for_each(terminate);
    let expected: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 4)).collect();
    assert_eq!(deployment.published("words").await, ids(&expected));
    assert_eq!(deployment.read_by_python("words").len(), 4 * RUNS);
    // The hours in the log show that the clocks were set.
    let log = std::fs::read_to_string(place.path("../said.log")).unwrap();
    let done = log.lines().filter(|line| line.contains("run completed"));
    let hours: BTreeSet<&str> = done.map(|line| &line[..13]).collect();
    assert!(hours.len() > 1, "{hours:?}");
}
