//! Runs and ends processes. A process that hangs is killed, and its test fails.

use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Far longer than any process of a test takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the process ends. Gives its exit status and its piped output.
#[track_caller]
pub fn ended(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let (end, ends) = channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = ends.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            kill_process(pid, Signal::KILL).unwrap();
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(end);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!watch.join().unwrap(), "it did not end: {stderr}");
    output
}

/// Runs a command to its end, without standard input. Gives its exit status and its output.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_into(command, Stdio::piped())
}

/// As [`run`], with its standard output going to `stdout`.
#[track_caller]
pub fn run_into(command: &mut Command, stdout: impl Into<Stdio>) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped());
    ended(command.spawn().unwrap())
}

/// Sends a signal: its name without `SIG`, as in `TERM`.
pub fn signal(process: &Child, name: &str) {
    kill_pid(process.id(), name);
}

/// As [`signal`], to the process with this id. One that has ended already needs no signal.
pub fn kill_pid(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    kill.stderr(Stdio::null()).status().unwrap();
}

/// Kills a process and waits for its end.
pub fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Asks a daemon to shut down, and fails the test unless it exits with success.
pub fn terminate(daemon: Child) {
    signal(&daemon, "TERM");
    assert!(ended(daemon).status.success());
}
