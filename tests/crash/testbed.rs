//! What the kill loop runs on: the program with a local data directory, or with AWS.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use compactor_snapshots::Step;
use compactor_testkit::cli::{Logs, Said, Workdir};
use compactor_testkit::cloud::Cloud;
use compactor_testkit::deployment::Deployment;
use compactor_testkit::emulator::endpoint;
use compactor_testkit::process::kill;

use crate::COMPACTOR;

/// What a killed daemon leaves behind must not keep the next one from working for long.
const SHORT: &str = "[queue]\nvisibility = \"1s\"\nmax_receives = 1000\n\
     [lease]\nterm = \"1s\"\nrenew_every = \"200ms\"\nskew_margin = \"50ms\"\n\
     swap_budget = \"300ms\"\n";

/// With leases that short, a slow disk is enough to lose one.
const EXPECTED: &[&str] = &["CC-LEASE-LOST"];

/// The log of the running daemon. It shows the steps; asking the services for them would slow these down.
const LOG: &str = "daemon.log";
const FILTER: &str = "info,compactor_daemon::observe=debug";

pub(crate) enum Testbed {
    Local(Workdir),
    Cloud(Box<Deployment>),
}

impl Testbed {
    pub(crate) fn local() -> Self {
        let place = Workdir::new(COMPACTOR);
        let settings = format!("[storage]\nbackend = \"local\"\npath = \"data\"\n{SHORT}");
        place.write("local.toml", &settings);
        place.expects(EXPECTED);
        Self::Local(place)
    }

    pub(crate) async fn cloud() -> Self {
        let deployment = Deployment::on(Cloud::new(1000).await, COMPACTOR);
        deployment.change(
            "[queue]\nvisibility = \"5s\"\n\
             [lease]\nterm = \"10s\"\nrenew_every = \"3s\"\nskew_margin = \"1s\"\n",
            &SHORT.replace("max_receives = 1000\n", ""),
        );
        deployment.place.expects(EXPECTED);
        Self::Cloud(Box::new(deployment))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "the local backend",
            Self::Cloud(_) => "AWS",
        }
    }

    pub(crate) fn place(&self) -> &Workdir {
        match self {
            Self::Local(place) => place,
            Self::Cloud(deployment) => &deployment.place,
        }
    }

    fn command(&self, line: &str) -> Command {
        match self {
            Self::Local(place) => {
                let words = line.split_whitespace();
                place.command(words.chain(["--config", "local.toml"]))
            }
            Self::Cloud(deployment) => deployment.command(line),
        }
    }

    pub(crate) fn say(&self, line: &str) -> Said {
        Said::by(&mut self.command(line))
    }

    /// Starts a daemon that logs its steps as well.
    pub(crate) fn daemon(&self) -> Daemon<'_> {
        let place = self.place();
        let mut command = self.command("run");
        command
            .env("RUST_LOG", FILTER)
            .stdout(Stdio::null())
            .stderr(File::create(place.path(LOG)).unwrap());
        let process = command.spawn().unwrap();
        Daemon { place, process }
    }

    /// Where a Python reader finds the objects.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::Local(_) => "--root data/objects".to_owned(),
            Self::Cloud(deployment) => {
                let bucket = &deployment.cloud.options.bucket;
                format!("--endpoint {} --bucket {bucket}", endpoint())
            }
        }
    }
}

/// A daemon at work.
pub(crate) struct Daemon<'s> {
    place: &'s Workdir,
    process: Child,
}

impl Daemon<'_> {
    /// How many steps it has taken.
    pub(crate) fn steps(&self) -> usize {
        steps(&said(self.place)).len()
    }

    /// Kills the daemon. Says whether that was in the middle of a cycle.
    pub(crate) fn kill(self) -> bool {
        kill(self.process);
        let said = said(self.place);
        Logs::keep(&self.place.path(""), &said);
        let last = steps(&said).last().copied();
        last.is_some_and(|step| step != Step::Released.name())
    }
}

fn said(place: &Workdir) -> String {
    let bytes = std::fs::read(place.path(LOG)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The steps of all cycles, from the lease on: a daemon that waits for a lease is idle.
fn steps(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.split_once("step=\"")?.1.split_once('"'))
        .map(|(step, _)| step)
        .filter(|step| *step != Step::Received.name())
        .collect()
}
