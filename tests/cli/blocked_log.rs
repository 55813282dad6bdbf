//! A log whose pipe is full, as under a container runtime whose log driver blocks. Neither the work nor the
//! shutdown waits for it: the daemon drops lines, counts them, and reports the count later.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use compactor_testkit::cli::Workdir;
use compactor_testkit::fixture::words;
use compactor_testkit::process::ended;
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::COMPACTOR;

/// How long to wait, so that a defect does not hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

const DROPPED: &str = "lines of the log were dropped";

/// A pipe that takes no byte until its reader reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = fcntl_getpipe_size(&writer).unwrap();
    writer.write_all(&vec![b'\n'; size]).unwrap();
    (reader, writer)
}

fn place() -> Workdir {
    let place = Workdir::new(COMPACTOR);
    place.write(
        "c.toml",
        "[log]\nfilter = \"info,compactor_daemon=debug\"\nbuffer = 8\n\
         [metrics]\nemf = true\nevery = \"1s\"\n",
    );
    words(&place, "dir");
    place.say("submit --data d words=dir").succeeds();
    place
}

fn is_completed(place: &Workdir) -> bool {
    let runs = place.say("runs --data d --json").json();
    runs[0]["parts"]["words"]["state"] == "COMPLETED"
}

#[track_caller]
fn wait_until_completed(place: &Workdir) {
    let (_silent, nothing) = channel::<()>();
    let tries = PATIENCE.as_millis() / 100;
    for _ in 0..tries {
        if is_completed(place) {
            return;
        }
        assert!(nothing.recv_timeout(Duration::from_millis(100)).is_err());
    }
    panic!("the daemon does not complete the run");
}

#[test]
fn daemon_with_a_blocked_log_drains_the_queue_and_ends() {
    let place = place();
    let (_unread, writer) = full_pipe();
    let mut command = place.command(["run", "--drain", "--config", "c.toml", "--data", "d"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(writer);
    let output = ended(command.spawn().unwrap());
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("1 runs completed"), "{said}");
    assert!(is_completed(&place));
}

/// Standard output blocks as well: a container has one log driver for both.
#[test]
fn daemon_with_a_blocked_log_stops_on_sigterm() {
    let place = place();
    let (_unread, writer) = full_pipe();
    let mut command = place.command(["run", "--config", "c.toml", "--data", "d"]);
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer);
    let daemon = command.spawn().unwrap();
    wait_until_completed(&place);
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    let output = ended(daemon);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(place.names_in("d/scratch"), [""; 0]);
}

/// An error that ends the daemon does not make it hang.
#[test]
fn daemon_with_a_blocked_log_exits_on_an_error() {
    let place = place();
    let (_unread, writer) = full_pipe();
    // As in a container whose root is read-only.
    place.write("file", "");
    let mut command = place.command(["run", "--drain", "--config", "c.toml", "--data", "d"]);
    command
        .env("CHROMA_COMPACTOR_WORKER__SCRATCH", "file/scratch")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer);
    let output = ended(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn dropped_log_lines_are_counted_once_the_log_is_read_again() {
    let place = place();
    place.expects(&[DROPPED]);
    let (unread, writer) = full_pipe();
    let mut command = place.command(["run", "--config", "c.toml", "--data", "d"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer);
    let daemon = command.spawn().unwrap();
    // The command holds the writing end as well.
    drop(command);
    wait_until_completed(&place);
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(unread).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    let mut log = Vec::new();
    let mut wait_for = |is_it: &dyn Fn(&str) -> bool| {
        loop {
            let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("{error}: {log:#?}");
            });
            log.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    };
    // This line is from before the pipe was read.
    wait_for(&|line| line.contains("started"));
    let told = wait_for(&|line| line.contains(DROPPED));
    let total = told.rsplit_once("total=").unwrap().1.parse::<u64>();
    let total = total.unwrap();
    assert!(total > 0, "{told}");
    let counted = wait_for(&|line| line.contains("CompactionLogLinesDropped"));
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(counted["CompactionLogLinesDropped"], total);
    // Metrics counted while the pipe was full are not lost.
    assert_eq!(counted["CompactionDeltaMergeCount"], 1, "{counted}");
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    wait_for(&|line| line.contains("stopping"));
    assert!(ended(daemon).status.success());
}
