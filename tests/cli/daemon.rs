//! The daemon as a process that is started, stopped in order, killed and started again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use compactor_testkit::cli::{CONFIGURATION, Said, Workdir};
use compactor_testkit::fixture::{directory, words};
use rustix::process::{Pid, Signal, kill_process};

use crate::COMPACTOR;

/// How long to wait for a line of the log, so that a defect does not hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon that runs until it gets a signal. It is killed when dropped.
pub(crate) struct Daemon {
    command: Command,
    child: Child,
    lines: Receiver<String>,
    log: String,
}

impl Daemon {
    pub(crate) fn start(place: &Workdir, line: &str) -> Self {
        Self::by(place.command(line.split_whitespace()))
    }

    pub(crate) fn by(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Self {
            command,
            child,
            lines,
            log: String::new(),
        };
        daemon.wait_for("started");
        daemon
    }

    /// Reads the log until a line has `text` in it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {text:?} in the log:\n{}", self.log);
            };
            self.log.push_str(&line);
            self.log.push('\n');
            if line.contains(text) {
                return;
            }
        }
    }

    /// Sends `signal` to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends `signal` and waits until the process ends.
    pub(crate) fn end(self, signal: Signal) -> Said {
        self.signal(signal);
        self.ends()
    }

    /// Waits until the process ends.
    pub(crate) fn ends(mut self) -> Said {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log.push_str(&(line + "\n")),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("the daemon does not end: {error}:\n{}", self.log),
            }
        }
        let status = self.child.wait().unwrap();
        let mut stdout = Vec::new();
        let mut pipe = self.child.stdout.take().unwrap();
        std::io::Read::read_to_end(&mut pipe, &mut stdout).unwrap();
        let stderr = std::mem::take(&mut self.log).into_bytes();
        let output = std::process::Output {
            status,
            stdout,
            stderr,
        };
        Said::from(&self.command, output)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The process has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn states(place: &Workdir) -> Vec<String> {
    let runs = place.say("runs --data d --json").json();
    let parts = runs.as_array().unwrap().iter();
    let parts = parts.flat_map(|run| run["parts"].as_object().unwrap().values());
    parts
        .map(|part| part["state"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn daemon_stops_in_order_on_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Workdir::new(COMPACTOR);
        let said = Daemon::start(&place, "run --data d").end(signal).succeeds();
        assert!(said.stdout.contains("0 runs completed"), "{said}");
        assert!(said.stderr.contains("stopping"), "{said}");
        let summary = Daemon::start(&place, "run --data d --json")
            .end(signal)
            .json();
        assert_eq!(summary["completed"], 0);
        assert_eq!(
            place.names_in("d/scratch"),
            [""; 0],
            "the daemon removes its scratch space"
        );
    }
}

#[test]
fn running_daemon_merges_a_run_submitted_later() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let mut daemon = Daemon::start(&place, "run --data d --json");
    place.say("submit --data d words=dir").succeeds();
    daemon.wait_for("run completed");
    let summary = daemon.end(Signal::TERM).json();
    assert_eq!(
        (&summary["completed"], &summary["published"]),
        (&1.into(), &1.into())
    );
    assert_eq!(states(&place), ["COMPLETED"]);
}

#[test]
fn next_daemon_cleans_up_after_a_killed_one_and_works() {
    let place = Workdir::new(COMPACTOR);
    words(&place, "dir");
    let said = Daemon::start(&place, "run --data d").end(Signal::KILL);
    assert_eq!(said.exit, None, "killed by a signal: {said}");
    assert_eq!(
        place.names_in("d/scratch").len(),
        1,
        "a killed process cleans nothing up"
    );
    place.say("submit --data d words=dir").succeeds();
    let said = place.say("run --data d --drain").succeeds();
    assert!(said.stdout.starts_with("1 runs completed"), "{said}");
    assert!(said.stderr.contains("what a killed daemon left"), "{said}");
    assert_eq!(place.names_in("d/scratch"), [""; 0]);
}

/// The messages and the lock of a killed daemon become free again, whatever it was doing.
#[test]
fn no_run_is_lost_when_daemons_are_killed_at_work() {
    let place = Workdir::new(COMPACTOR);
    // A lease this short is lost on a slow disk.
    place.expects(&["CC-LEASE-LOST"]);
    place.write(
        "c.toml",
        "[queue]\nvisibility = \"2s\"\nmax_receives = 20\n\
         [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n",
    );
    for number in 0..6 {
        let name = format!("dir{number}");
        directory(&place, &name, "words", 200, 8);
        place
            .say(&format!("submit --data d words={name}"))
            .succeeds();
        Daemon::start(&place, "run --config c.toml --data d").end(Signal::KILL);
    }
    place.say("run --config c.toml --data d --drain").succeeds();
    assert_eq!(states(&place), ["COMPLETED"; 6]);
    let runs = place.say("runs --data d --json").json();
    let versions = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["parts"]["words"]["version"]);
    let latest = versions
        .map(|version| version.as_str().unwrap())
        .max()
        .unwrap();
    let dir = format!("d/objects/words/snapshot/timestamped/{latest}");
    let report = place
        .say(&format!("store verify {dir} --full --json"))
        .json();
    assert_eq!(report["collections"][0]["records"], 6 * 200);
}

/// A killed daemon records nothing, and its message has no receive left for another daemon.
#[test]
fn run_of_a_daemon_killed_on_the_last_receive_is_announced_again() {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[queue]\nvisibility = \"1s\"\nmax_receives = 1\n\
         [lease]\nterm = \"3s\"\nrenew_every = \"500ms\"\nskew_margin = \"100ms\"\nswap_budget = \"1s\"\n\
         [log]\nfilter = \"info,compactor_daemon=debug\"\n",
    );
    // The merge of this delta takes long enough to be killed.
    directory(&place, "dir", "words", 5000, 64);
    place.say("submit --data d words=dir").succeeds();
    let mut daemon = Daemon::start(&place, "run --config c.toml --data d");
    daemon.wait_for("step=\"resolved\"");
    daemon.end(Signal::KILL);
    assert_eq!(states(&place), ["PROCESSING"]);
    let said = place.say("run --config c.toml --data d --drain").succeeds();
    assert!(said.stdout.starts_with("0 runs completed"), "{said}");
    assert_eq!(states(&place), ["PROCESSING"]);
    let said = place.say("runs reconcile --data d").succeeds();
    assert_eq!(said.stdout, "nothing to announce\n", "the run is too young");
    let said = place
        .say("runs reconcile --older-than 0s --data d")
        .succeeds();
    assert!(said.stdout.starts_with("announced"), "{said}");
    place.say("run --data d --drain").succeeds();
    assert_eq!(states(&place), ["COMPLETED"]);
    let said = place
        .say("runs reconcile --older-than 0s --data d")
        .succeeds();
    assert_eq!(said.stdout, "nothing to announce\n");
}

#[test]
fn two_daemons_share_the_runs_of_a_queue() {
    let place = Workdir::new(COMPACTOR);
    let daemons = [0, 1].map(|_| Daemon::start(&place, "run --data d"));
    for number in 0..4 {
        let name = format!("dir{number}");
        words(&place, &name);
        place
            .say(&format!("submit --data d words={name}"))
            .succeeds();
    }
    place.say("run --data d --drain").succeeds();
    assert_eq!(states(&place), ["COMPLETED"; 4]);
    for daemon in daemons {
        daemon.end(Signal::TERM).succeeds();
    }
}

/// Such a daemon would receive no messages, and no reader would see what it publishes.
#[test]
fn daemon_ends_when_its_data_directory_is_removed_or_replaced() {
    for replace in [false, true] {
        let place = Workdir::new(COMPACTOR);
        let daemon = Daemon::start(&place, "run --data d");
        std::fs::rename(place.path("d"), place.path("aside")).unwrap();
        if replace {
            words(&place, "delta");
            place.say("submit words=delta --data d").succeeds();
        }
        daemon.ends().fails(CONFIGURATION, "CC-PORT-MISSING");
    }
}
