//! Where the binary works, and how it is called there.

use std::process::{Child, Command, Stdio};

use crate::cloud::Cloud;
use crate::deployment::Deployment;
use crate::emulator::endpoint;
use crate::place::{Place, Said};

/// What a killed daemon leaves behind must not keep the next one from working for long.
const SHORT: &str = "[queue]\nvisibility = \"1s\"\nmax_receives = 1000\n\
     [lease]\nterm = \"1s\"\nrenew_every = \"200ms\"\nskew_margin = \"50ms\"\n\
     swap_budget = \"300ms\"\n";

/// Where leases are that short, a slow disk is enough to lose one.
const EXPECTED: &[&str] = &["CC-LEASE-LOST"];

pub(crate) enum Stand {
    Local(Place),
    Cloud(Box<Deployment>),
}

impl Stand {
    pub(crate) fn local() -> Self {
        let place = Place::new();
        let settings = format!("[storage]\nbackend = \"local\"\npath = \"data\"\n{SHORT}");
        place.write("local.toml", &settings);
        place.expects(EXPECTED);
        Self::Local(place)
    }

    pub(crate) async fn cloud() -> Self {
        let deployment = Deployment::on(Cloud::new(1000).await);
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

    pub(crate) fn place(&self) -> &Place {
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

    /// A daemon, nobody listening.
    pub(crate) fn daemon(&self) -> Child {
        let mut command = self.command("run");
        command.stdout(Stdio::null());
        command.spawn().unwrap()
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
